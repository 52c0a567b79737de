"""The directive ``commands``: every command of the command line, as its parser describes it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from dsmfast.cli import parser

WIDTH = 80  # of usage, in characters


def paragraphs(text: str) -> Iterator[nodes.Node]:
    """Yield the paragraphs of a text, those with lines that begin with blanks as they stand."""
    for part in (text or "").strip("\n").split("\n\n"):
        head, *tail = part.split("\n")
        if any(line.startswith("  ") for line in [head, *tail]):
            if not head.startswith(" "):  # what introduces the lines, "examples:"
                yield nodes.paragraph(head, head)
                part = "\n".join(tail)
            block = "\n".join(line.removeprefix("  ") for line in part.split("\n"))
            language = "sh" if block.lstrip().startswith("dsmfast ") else "text"
            yield nodes.literal_block(block, block, language=language)
        elif part.strip():
            yield nodes.paragraph(part, part)


def spelled(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    """Return an argument as it is typed, with what it takes."""
    return formatter._format_action_invocation(action)


def arguments(command: argparse.ArgumentParser) -> Iterator[nodes.Node]:
    """Yield the arguments of a command, group by group, as the parser has them."""
    formatter = argparse.HelpFormatter(command.prog)
    for group in command._action_groups:
        items = nodes.definition_list()
        for action in group._group_actions:
            if action.help == argparse.SUPPRESS:
                continue
            term = nodes.term("", "", nodes.literal("", spelled(action, formatter)))
            said = formatter._expand_help(action) if action.help else ""
            body = nodes.definition("", nodes.paragraph(said, said))
            items += nodes.definition_list_item("", term, body)
        if len(items):
            yield nodes.rubric("", (group.title or "").capitalize())
            yield items


class Commands(Directive):
    """A section for each command: usage, what it does, its arguments, its examples."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        every = parser()
        (choices,) = (a for a in every._actions if isinstance(a, argparse._SubParsersAction))
        return [self._section(command) for command in choices.choices.values()]

    def _section(self, command: argparse.ArgumentParser) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(command.prog)])
        section += nodes.title(command.prog, command.prog)
        section += paragraphs(command.description or "")
        formatter = argparse.HelpFormatter(command.prog, width=WIDTH)
        formatter.add_usage(command.usage, command._actions, command._mutually_exclusive_groups)
        usage = formatter.format_help().strip().removeprefix("usage: ")
        section += nodes.literal_block(usage, usage, language="text")
        section += arguments(command)
        section += paragraphs(command.epilog or "")
        self.state.document.note_implicit_target(section, section)
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
