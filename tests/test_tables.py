"""Tables as people keep them: text of several layouts, parquet of pandas, what is no feature."""

import gzip
import io
import sys

import numpy as np
import pytest

from dsmfast import data

ROWS = np.array([[1.5, 2, -3], [4, 5e-3, 6], [7, 8, 9.25]])
TEXT = "1.5,2,-3\n4,5e-3,6\n7,8,9.25\n"


def table(tmp_path, text, ending=".csv", **options):
    path = tmp_path / f"rows{ending}"
    path.write_text(text)
    return data.load_table(path, **options)


class TestHeaders:
    @pytest.mark.parametrize(
        ("header", "names"),
        [
            ("a,b,c", ("a", "b", "c")),
            ("0,1,2", ("0", "1", "2")),  # what pandas writes for a frame without names
            ('"a, b", c ,"d"', ("a, b", "c", "d")),
            ("a,,a", ("a", "Unnamed: 1", "a.1")),
        ],
    )
    def test_taken_for_one(self, header, names, tmp_path):
        found = table(tmp_path, f"{header}\n{TEXT}")
        assert np.array_equal(found.values, ROWS)
        assert found.names == names
        assert found.notes[0].startswith("used line 1 as the header: ")

    @pytest.mark.parametrize("first", ["0,1,3", "1,2,3", "0,2,1", "0.0,1.0,2.0"])
    def test_numbers_are_rows(self, first, tmp_path):
        found = table(tmp_path, f"{first}\n{TEXT}")
        assert len(found.values) == 4
        assert found.names is None
        assert found.notes == ()

    def test_one_column(self, tmp_path):
        assert table(tmp_path, "0\n0.25\n1\n").values.tolist() == [[0.25], [1]]
        assert table(tmp_path, "0\n3\n0\n").values.tolist() == [[0], [3], [0]]  # counts

    def test_said(self, tmp_path):
        years = "2019,2020,2021\n" + TEXT
        found = table(tmp_path, years, header="yes")
        assert found.names == ("2019", "2020", "2021")
        assert found.notes == ()
        assert len(table(tmp_path, years).values) == 4
        assert len(table(tmp_path, "0,1,2\n" + TEXT, header="no").values) == 4
        with pytest.raises(ValueError, match="line 1, column 1: expected a number, got 'a'"):
            table(tmp_path, "a,b,c\n" + TEXT, header="no")
        with pytest.raises(
            ValueError, match="header: expected one of 'auto', 'yes', 'no', got 'maybe'"
        ):
            table(tmp_path, TEXT, header="maybe")

    def test_half_a_header(self, tmp_path):
        with pytest.raises(ValueError, match=r"line 1, column 1: .* got 'id'; .* say header yes"):
            table(tmp_path, "id,0,1\n" + TEXT)
        assert table(tmp_path, "id,0,1\n" + TEXT, header="yes").names == ("id", "0", "1")

    def test_a_header_is_known_by_the_names_of_a_model(self, tmp_path):
        found = table(tmp_path, "2020,7,2019\n" + TEXT, features=("2019", "2020"))
        assert np.array_equal(found.values, ROWS[:, [2, 0]])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x\n1,5\n", "line 2: expected 1 column, got 2: the header in line 1 has 1; if commas"),
            ("a,b,c\n1,2\n", "line 2: expected 3 columns, got 2: the header in line 1 has 3$"),
            ("a,b\n1,2,3\n4,5,6\n", "line 2: expected 2 columns, got 3: the header in line 1"),
            ("# a\n\na,b\n1,2\n3,4,5\n", "line 5: expected 2 columns, got 3: the header in line 3"),
            ("1,2\n3,4\n5\n", "line 3: expected 2 columns, got 1$"),
        ],
    )
    @pytest.mark.parametrize("missing", [False, True])
    def test_other_width(self, text, message, missing, tmp_path):
        with pytest.raises(ValueError, match=r"rows\.csv: " + message):
            table(tmp_path, text, missing=missing)


class TestSeparators:
    @pytest.mark.parametrize("header", ["", "fixed acidity,b,c\n"])
    @pytest.mark.parametrize("separator", [";", "\t"])
    def test_found(self, separator, header, tmp_path):
        found = table(tmp_path, (header + TEXT).replace(",", separator))
        assert np.array_equal(found.values, ROWS)
        assert any("as the separator" in note for note in found.notes)

    @pytest.mark.parametrize("header", ["", "a b c\n"])
    def test_blanks(self, header, tmp_path):
        text = header + "  1.5 2\t-3 \n4   5e-3 6\n7 8 9.25\n"
        for options in ({}, {"separator": "blanks"}, {"separator": " "}):
            assert np.array_equal(table(tmp_path, text, **options).values, ROWS)

    @pytest.mark.parametrize("separator", [";", "tab", "|", ":"])
    def test_said(self, separator, tmp_path):
        character = "\t" if separator == "tab" else separator
        found = table(tmp_path, TEXT.replace(",", character), separator=separator)
        assert np.array_equal(found.values, ROWS)
        assert found.notes == ()

    def test_tsv(self, tmp_path):
        found = table(tmp_path, ("a b,c,d\n" + TEXT).replace(",", "\t"), ".tsv")
        assert np.array_equal(found.values, ROWS)
        assert found.names == ("a b", "c", "d")
        gaps = table(tmp_path, "a\tb\n\t1\n2\t\n", ".tsv", missing=True).values
        assert np.array_equal(gaps, [[np.nan, 1], [2, np.nan]], equal_nan=True)

    @pytest.mark.parametrize("separator", ["", ",,", "e", "1", ".", "-", "#", '"', "\n", "_"])
    def test_refused(self, separator, tmp_path):
        with pytest.raises(
            ValueError, match="separator: expected tab, blanks or one character that is"
        ):
            table(tmp_path, TEXT, separator=separator)

    def test_hints(self, tmp_path):
        cases = [
            ("a;b\n1,5;2,5\n", "column 1: expected a number, got '1,5' under 'a'; write numbers"),
            ("a,b\n1;2\n", "got 1: the header in line 1 has 2; if cells .* say separator ';'"),
            ("1 2,3\n4 5,6\n", "got '1 2'; if cells are separated so, say separator blanks"),
        ]
        for text, message in cases:
            options = {"separator": ";"} if text.startswith("a;") else {}
            with pytest.raises(ValueError, match=message):
                table(tmp_path, text, **options)


class TestCells:
    def test_comments_above(self, tmp_path):
        found = table(tmp_path, "# made by hand\n\n  # 2, 3\na,b,c\n" + TEXT)
        assert np.array_equal(found.values, ROWS)
        assert found.names == ("a", "b", "c")
        assert "used line 4 as the header: a, b, c" in found.notes
        assert "left out 2 lines that begin with #" in found.notes
        assert table(tmp_path, "# a\n" * 3000 + TEXT).values.shape == (3, 3)

    def test_what_spreadsheets_write_is_no_comment(self, tmp_path):
        for cells in ("#N/A,2,3", "2,3,#DIV/0!", "#"):
            with pytest.raises(ValueError, match=r"line 5"):
                table(tmp_path, f"a,b,c\n{TEXT}{cells}\n")

    @pytest.mark.parametrize(
        "number", ["1_000", "1_0.5", "\u0661", "0x10", "1e", "1,5", "--1", "1d5"]
    )
    @pytest.mark.parametrize("missing", [False, True])
    def test_no_numbers(self, number, missing, tmp_path):
        with pytest.raises(ValueError, match=r"line 3, column 2: expected a number, got '.*' und"):
            table(tmp_path, f'a,b\n1,2\n3,"{number}"\n', missing=missing)

    def test_underscores_get_a_hint(self, tmp_path):
        with pytest.raises(ValueError, match="got '1_000'; write it without underscores"):
            table(tmp_path, "1,2\n3,1_000\n")

    @pytest.mark.parametrize(
        "number", ["1", "-1.", ".5", "+2e3", "1E-400", "nan", "-Inf", "infinity", " 7 ", "9" * 30]
    )
    def test_numbers_are_the_same_by_either_reader(self, number, tmp_path):
        """A quote after a blank is what NumPy's parser does not read."""
        fast = table(tmp_path, f"1,{number}\n3,4\n").values
        slow = table(tmp_path, f'1,{number}\n 3, "4"\n').values
        assert np.array_equal(fast, slow, equal_nan=True)
        assert fast[0, 1] == float(number) or np.isnan(float(number))

    def test_between_blanks_a_quote_ends_with_its_line(self, tmp_path):
        with pytest.raises(ValueError, match="line 1, column 2: expected a number"):
            table(tmp_path, '1 "\n1 "\n')

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_gaps(self, separator, end, tmp_path):
        text = "a,b,c\n,2,\n1,,3\n,,\n4,5,6\n1,2,\n".replace(",", separator).replace("\n", end)
        (tmp_path / "rows.csv").write_bytes(text.encode())
        found = data.load_table(tmp_path / "rows.csv", missing=True).values
        n = np.nan
        expected = [[n, 2, n], [1, n, 3], [n, n, n], [4, 5, 6], [1, 2, n]]
        assert np.array_equal(found, expected, equal_nan=True)

    def test_gaps_in_one_column(self, tmp_path):
        found = table(tmp_path, 'a\n1.0\n""\n2.0\n', missing=True).values  # as pandas writes it
        assert np.array_equal(found, [[1], [np.nan], [2]], equal_nan=True)

    def test_what_is_usual_is_read_by_numpy(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise AssertionError("a Python loop")

        monkeypatch.setattr("dsmfast._tables.text._by_lines", refuse)
        table(tmp_path, "a,b,c\n" + TEXT)
        table(tmp_path, "0,1,2\n" + TEXT.replace("4", '"4"'))
        table(tmp_path, "a,b,c\n1,,\n,2,3\n", missing=True)
        table(tmp_path, 'a,b,c\nx,1,2\n"y,\n z",1,2\n', drop="a")
        table(tmp_path, TEXT.replace(",", "  \t"))
        with pytest.raises(AssertionError, match="a Python loop"):
            table(tmp_path, '1,2\n3, "4"\n')


class TestColumns:
    TEXT = "id,a,kind,b\n1,2,x,3\n2,4,y,5\n"

    def test_taken_and_left(self, tmp_path):
        for options in ({"columns": "b,a"}, {"columns": ["b", "a"]}):
            found = table(tmp_path, self.TEXT, **options)
            assert found.names == ("b", "a")
            assert found.values.tolist() == [[3, 2], [5, 4]]
        found = table(tmp_path, self.TEXT, drop="kind, id")
        assert found.names == ("a", "b")
        assert found.values.tolist() == [[2, 3], [4, 5]]

    def test_names_with_commas(self, tmp_path):
        found = table(tmp_path, '"a,b",c\n1,2\n', columns='"a,b"')
        assert found.names == ("a,b",)

    def test_text_is_named(self, tmp_path):
        with pytest.raises(
            ValueError, match="line 2, column 3: expected a number, got 'x' under 'kind'; drop"
        ):
            table(tmp_path, self.TEXT)

    def test_the_width_is_checked_in_what_is_left_out(self, tmp_path):
        with pytest.raises(ValueError, match="line 4: expected 4 columns, got 5"):
            table(tmp_path, self.TEXT + "3,6,z,7,\n", columns="a,b")

    def test_by_number_where_there_are_no_names(self, tmp_path):
        found = table(tmp_path, TEXT, columns="2,0")
        assert found.names is None
        assert np.array_equal(found.values, ROWS[:, [2, 0]])
        np.save(tmp_path / "rows.npy", ROWS)
        np.savez(tmp_path / "rows.npz", X=ROWS)
        for file in ("rows.npy", "rows.npz"):
            found = data.load_table(tmp_path / file, drop=["1"])
            assert np.array_equal(found.values, ROWS[:, [0, 2]])
        pytest.importorskip("sklearn")
        assert data.load_table("mixture", columns="1").values.shape == (5000, 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"columns": "a,e"}, "rows.csv: no column e; it has id, a, kind, b"),
            ({"drop": "quality"}, "rows.csv: no column quality; it has id, a, kind, b"),
            ({"columns": "a,a"}, "columns: 'a' is there twice"),
            ({"columns": ""}, "columns: expected names of columns, got none"),
            ({"columns": "a", "drop": "b"}, "columns, drop: expected one of the two, got both"),
            ({"drop": "id,a,b,kind"}, "rows.csv: no column is left; it has id, a, kind, b"),
        ],
    )
    def test_mistakes(self, options, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            table(tmp_path, self.TEXT, **options)
        with pytest.raises(ValueError, match="no column 3; it has columns without names, 0, 1, 2"):
            table(tmp_path, TEXT, columns="3")
        with pytest.raises(TypeError, match="columns: expected names of columns, got 0"):
            table(tmp_path, TEXT, columns=[0])

    def test_matched_to_a_model(self, tmp_path):
        found = table(tmp_path, self.TEXT, features=("b", "a"))
        assert found.values.tolist() == [[3, 2], [5, 4]]
        assert "left out id, kind, which the model was not trained on" in found.notes
        assert "took the columns by their names, in the order of the model" in found.notes
        with pytest.raises(ValueError, match="no column c, which the model was trained on; it has"):
            table(tmp_path, self.TEXT, features=("a", "c"))
        assert table(tmp_path, self.TEXT, features="b,a").names == ("b", "a")
        with pytest.raises(TypeError, match=r"features: expected names of columns, got 1 \(int"):
            table(tmp_path, self.TEXT, features=[1])
        found = table(tmp_path, self.TEXT, features=("a", "b"), drop="id,kind")
        assert found.notes == ("used line 1 as the header: id, a, kind, b",)


class TestIndexes:
    """What pandas writes to tell rows apart is no feature."""

    @pytest.fixture
    def frame(self):
        pd = pytest.importorskip("pandas")
        return pd.DataFrame(ROWS, columns=["a", "b", "c"], index=[30, 10, 20])

    def test_of_text(self, frame, tmp_path):
        frame.to_csv(tmp_path / "rows.csv")
        found = data.load_table(tmp_path / "rows.csv")
        assert np.array_equal(found.values, ROWS)
        assert found.names == ("a", "b", "c")
        assert "left out Unnamed: 0, an index" in found.notes
        frame.index = ["x", "y", "z,"]
        frame.columns = range(3)
        frame.to_csv(tmp_path / "rows.csv")
        found = data.load_table(tmp_path / "rows.csv")
        assert np.array_equal(found.values, ROWS)
        assert found.names == ("0", "1", "2")

    def test_of_text_that_was_read_and_written_again(self, frame, tmp_path):
        pd = pytest.importorskip("pandas")
        frame.to_csv(tmp_path / "rows.csv")
        pd.read_csv(tmp_path / "rows.csv").to_csv(tmp_path / "again.csv", index=False)
        assert np.array_equal(data.load_table(tmp_path / "again.csv").values, ROWS)
        found = data.load_table(tmp_path / "again.csv", columns=["Unnamed: 0", "c"])
        assert found.values[:, 0].tolist() == [30, 10, 20]

    def test_of_several_levels(self, frame, tmp_path):
        pd = pytest.importorskip("pandas")
        frame.index = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)])
        frame.to_csv(tmp_path / "rows.csv")
        assert np.array_equal(data.load_table(tmp_path / "rows.csv").values, ROWS)

    @pytest.mark.parametrize("index", ["numbers", "named", "range", "step", "text", "two levels"])
    def test_of_parquet(self, index, frame, tmp_path):
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        tuples = [("x", 1), ("x", 2), ("y", 1)]
        frame.index = {
            "numbers": frame.index,
            "named": frame.index.rename("id"),
            "range": pd.RangeIndex(3),
            "step": pd.RangeIndex(10, 40, 10, name="c0"),
            "text": pd.Index(["x", "y", "z"]),
            "two levels": pd.MultiIndex.from_tuples(tuples, names=["kind", None]),
        }[index]
        frame.to_parquet(tmp_path / "rows.parquet")
        found = data.load_table(tmp_path / "rows.parquet")
        assert np.array_equal(found.values, ROWS)
        assert found.names == ("a", "b", "c")
        assert np.array_equal(found.values, pd.read_parquet(tmp_path / "rows.parquet").to_numpy())
        counted = index in ("range", "step")
        assert any("an index" in note for note in found.notes) != counted

    def test_by_name(self, frame, tmp_path):
        pytest.importorskip("pyarrow")
        frame.rename_axis("id").to_parquet(tmp_path / "rows.parquet")
        found = data.load_table(tmp_path / "rows.parquet", columns="c,id")
        assert found.values[:, 1].tolist() == [30, 10, 20]
        found = data.load_table(tmp_path / "rows.parquet", features=("id", "a"))
        assert found.values[:, 0].tolist() == [30, 10, 20]


class TestParquet:
    def write(self, tmp_path, columns, names=None):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        names = names or [f"c{i}" for i in range(len(columns))]
        written = arrow.Table.from_arrays([arrow.array(c) for c in columns], names)
        parquet.write_table(written, tmp_path / "rows.parquet")
        return tmp_path / "rows.parquet"

    def test_kinds(self, tmp_path):
        path = self.write(tmp_path, [[1, None, 3], [True, False, True], [0.5, 1, 2]])
        expected = [[1, 1, 0.5], [np.nan, 0, 1], [3, 1, 2]]
        assert np.array_equal(data.read_file(path), expected, equal_nan=True)

    def test_text(self, tmp_path):
        path = self.write(tmp_path, [[1, 2], ["x", "y"]], ["a", "kind"])
        with pytest.raises(ValueError, match="column 'kind': expected numbers, got string; drop"):
            data.read_file(path)
        assert data.load_table(path, drop="kind").values.tolist() == [[1], [2]]

    @pytest.mark.parametrize("names", [["a", "a", "b"], ["a.b", "a", "b"]])
    def test_names_that_look_alike(self, names, tmp_path):
        path = self.write(tmp_path, [[1], [2], [3]], names)
        found = data.load_table(path)
        assert found.values.tolist() == [[1, 2, 3]]
        assert len(set(found.names)) == 3

    def test_metadata_that_are_damaged(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        for content in (b"{", b"[1]", b'{"index_columns": 3}'):
            written = arrow.table({"a": [1.5]}).replace_schema_metadata({b"pandas": content})
            parquet.write_table(written, tmp_path / "rows.parquet")
            with pytest.raises(ValueError, match=r"rows\.parquet: its pandas metadata are not"):
                data.read_file(tmp_path / "rows.parquet")


class TestSources:
    def test_packed(self, tmp_path):
        for ending, text in ((".csv.gz", TEXT), (".tsv.gz", TEXT.replace(",", "\t"))):
            (tmp_path / f"rows{ending}").write_bytes(gzip.compress(text.encode()))
            assert np.array_equal(data.read_file(tmp_path / f"rows{ending}"), ROWS)

    def test_packed_and_damaged(self, tmp_path):
        whole = gzip.compress(TEXT.encode())
        for content in (b"no", whole[:-9], whole[:20] + b"xxxx" + whole[24:]):
            (tmp_path / "rows.csv.gz").write_bytes(content)
            with pytest.raises(ValueError, match=r"rows\.csv\.gz: not a readable \.gz file"):
                data.read_file(tmp_path / "rows.csv.gz")
        with pytest.raises(FileNotFoundError):
            data.read_file(tmp_path / "none.csv.gz")

    def test_options_of_text(self, tmp_path):
        np.save(tmp_path / "rows.npy", ROWS)
        for options in ({"separator": ";"}, {"header": "yes"}):
            with pytest.raises(ValueError, match=r"rows\.npy: separator and header are for \.csv"):
                data.load_table(tmp_path / "rows.npy", **options)

    def content(self, kind):
        stream = io.BytesIO()
        if kind == "npy":
            np.save(stream, ROWS)
        elif kind == "npz":
            np.savez(stream, X=ROWS)
        elif kind == "parquet":
            arrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(arrow.table(dict(zip("abc", ROWS.T, strict=True))), stream)
        else:
            text = ("a,b,c\n" + TEXT).encode()
            stream.write(gzip.compress(text) if kind == "gz" else text)
        return stream.getvalue()

    @pytest.mark.parametrize("kind", ["csv", "gz", "npy", "npz", "parquet"])
    def test_standard_input(self, kind, monkeypatch):
        content = self.content(kind)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert np.array_equal(data.load_table("-").values, ROWS)

    def test_standard_input_without_rows(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        with pytest.raises(ValueError, match="standard input: no rows of numbers"):
            data.load_table("-")
