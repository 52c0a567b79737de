"""Tables as other programs write them: pandas, NumPy, polars, R and spreadsheets."""

import numpy as np
import pytest

from dsmfast import data

ROWS = np.array([[1.5, 2, -3], [4, 5e-3, 6], [7, 8, 9.25]])
TEXT = "1.5,2,-3\n4,5e-3,6\n7,8,9.25\n"
n = np.nan


def table(tmp_path, text, ending=".csv", **options):
    path = tmp_path / f"rows{ending}"
    path.write_text(text)
    return data.load_table(path, **options)


def same(found, expected):
    return np.array_equal(found, expected, equal_nan=True)


class TestPandas:
    @pytest.mark.parametrize("times", [1, 2, 3, 4])
    @pytest.mark.parametrize("names", [["a", "b", "c"], [0, 1, 2], [1, 2, 5]])
    def test_written_and_read_again_and_again(self, names, times, tmp_path):
        pd = pytest.importorskip("pandas")
        path = tmp_path / "rows.csv"
        pd.DataFrame(ROWS, columns=names, index=[30, 10, 20]).to_csv(path)
        for _ in range(times - 1):
            pd.read_csv(path).to_csv(path)
        found = data.load_table(path)
        assert found.names == tuple(map(str, names))
        assert np.array_equal(found.values, ROWS)

    def test_leading_columns_called_so_are_an_index(self, tmp_path):
        for header in ("Unnamed: 0.1,Unnamed: 0,a", ",Unnamed: 0,a", "Unnamed: 0.2.1,,a"):
            found = table(tmp_path, f"{header}\n0,5,1.5\n1,7,2.5\n")
            assert found.values.tolist() == [[1.5], [2.5]]
        found = table(tmp_path, "Unnamed: 0.1,Unnamed: 0,a\n0,5,1.5\n", columns="Unnamed: 0,a")
        assert found.values.tolist() == [[5, 1.5]]
        assert table(tmp_path, "a,Unnamed: 1\n0,5\n").names == ("a", "Unnamed: 1")

    @pytest.mark.parametrize("header", ["1,2", "0,2", "3,17"])
    def test_places_as_a_header_are_told_of(self, header, tmp_path):
        rows = "0.5,1.0\n2.5,3.0\n"
        found = table(tmp_path, f"{header}\n{rows}")
        assert len(found.values) == 3
        assert found.notes == (
            "read line 1 as a row; if it has the names of columns, say header yes",
        )
        found = table(tmp_path, f"{header}\n{rows}", header="yes")
        assert found.names == tuple(header.split(","))
        assert found.notes == ()
        assert table(tmp_path, f"{header}\n{rows}", header="no").notes == ()

    def test_what_are_no_places(self, tmp_path):
        for text in ("2,1\n0.5,1.5\n", "1,2\n3,4\n", "1,2\n0.5,3\n4,5.5\n", "-1,2\n0.5,1.5\n"):
            assert table(tmp_path, text).notes == ()

    def test_places_beside_an_index_are_a_header(self, tmp_path):
        for missing in (False, True):
            found = table(tmp_path, ",1,2\n0,0.5,1.0\n1,2.5,3.0\n", missing=missing)
            assert found.names == ("1", "2")
            assert found.values.tolist() == [[0.5, 1], [2.5, 3]]
        for rows, expected in (("0,5,1", [0, 5, 1]), ("0.5,5,1.5", [0.5, 5, 1.5])):
            found = table(tmp_path, f",1,2\n{rows}\n", missing=True).values
            assert same(found, [[n, 1, 2], expected])


class TestComments:
    def test_names_may_begin_with_a_hash(self, tmp_path):
        found = table(tmp_path, "\t#reads\tgc\n0\t1.5\t2\n", ".tsv")
        assert found.names == ("#reads", "gc")
        assert table(tmp_path, ",#reads,gc\n0,1.5,2\n").names == ("#reads", "gc")
        assert table(tmp_path, "gc,#reads\n1.5,2\n").names == ("gc", "#reads")

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
    def test_a_header_of_numpy(self, delimiter, tmp_path):
        for header in (delimiter.join(["c", "b", "a"]), "c,b,a"):
            np.savetxt(tmp_path / "rows.csv", ROWS, delimiter=delimiter, header=header)
            found = data.load_table(tmp_path / "rows.csv")
            assert np.array_equal(found.values, ROWS)
            assert found.names == ("c", "b", "a")
            assert "used line 1, which begins with #, as the header: c, b, a" in found.notes
            assert not any("left out" in note for note in found.notes)
            assert data.load_table(tmp_path / "rows.csv", header="no").names is None
            found = data.load_table(tmp_path / "rows.csv", features=("a", "c"))
            assert np.array_equal(found.values, ROWS[:, [2, 0]])

    def test_directly_above_the_rows(self, tmp_path):
        found = table(tmp_path, "# of the north\n#rooms,living area\n1,2\n3,4\n")
        assert found.names == ("rooms", "living area")
        assert found.values.tolist() == [[1, 2], [3, 4]]
        assert found.notes[1] == "left out a line that begins with #"
        with pytest.raises(
            ValueError, match="line 4: expected 2 columns, got 1: the header in lin"
        ):
            table(tmp_path, "# of the north\n#rooms,size\n1,2\n3\n")
        assert table(tmp_path, "#x\n1.5\n2\n").names == ("x",)

    @pytest.mark.parametrize(
        "comment",
        ["# a, b\n\n", "# a, b\n# of 2019\n", "# a\n", "# made in Paris, 2019\n", "# a,\n", "#\n"],
    )
    def test_what_is_a_comment(self, comment, tmp_path):
        found = table(tmp_path, f"{comment}1,2\n3,4\n")
        assert found.names is None
        assert len(found.values) == 2
        for line in ("# of the north", "#a,b", "#a;b"):
            assert table(tmp_path, f"{line}\n1.5\n2\n").names is None
        assert table(tmp_path, f"{comment}x,y\n1,2\n").names == ("x", "y")

    @pytest.mark.parametrize("mark", ["#N/A", "#DIV/0!", "#NA", "#REF!", "#VALUE!", "#NUM!"])
    def test_a_cell_without_a_value_begins_none(self, mark, tmp_path):
        for separator in (",", ";", "\t", " "):
            with pytest.raises(ValueError, match=f"column 1: expected a number, got '{mark}'"):
                table(tmp_path, f"{mark}{separator}2\n3{separator}4\n")
        with pytest.raises(ValueError, match="line 1, column 1"):
            table(tmp_path, f"{mark},{mark}\n3,4\n")

    def test_what_is_not_available_is_a_gap(self, tmp_path):
        found = table(tmp_path, "#N/A,2\n3,#N/A\n", missing=True)
        assert same(found.values, [[n, 2], [3, n]])
        with pytest.raises(ValueError, match="got '#N/A' under 'a'; drop the row, or fill it in"):
            table(tmp_path, "a,b\n#N/A,2\n")
        with pytest.raises(ValueError, match=r"got '#DIV/0!' .*; leave what is missing empty"):
            table(tmp_path, "a,b\n#DIV/0!,2\n", missing=True)

    def test_an_empty_cell_of_the_first_row_is_no_name(self, tmp_path):
        with pytest.raises(ValueError, match=r"line 1, column 3: .* got ''; drop the row"):
            table(tmp_path, "1,2,\n3,4,\n")


class TestBlankLines:
    @pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n  \n", "\n  \n\n"])
    def test_at_the_end_are_none(self, end, tmp_path):
        assert table(tmp_path, f"a\n1\n2{end}").values.tolist() == [[1], [2]]
        for separator in (",", ";", "\t"):
            text = f"a,b\n1,2\n3,4{end}".replace(",", separator)
            assert table(tmp_path, text).values.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("header", ["a\n", ""])
    @pytest.mark.parametrize("blank", ["\n", "  \n", '""\n', "\r\n"])
    def test_in_a_column_are_cells(self, blank, header, tmp_path):
        text = f"{header}1.0\n{blank}{blank}2.0\n{blank}3.0\n\n"
        found = table(tmp_path, text, missing=True).values
        assert same(found, [[1], [n], [n], [2], [n], [3]])
        line = 3 if header else 2
        with pytest.raises(ValueError, match=f"line {line}, column 1: expected a number, got ''"):
            table(tmp_path, text)

    def test_of_polars(self, tmp_path):
        polars = pytest.importorskip("polars")
        polars.DataFrame({"a": [None, 1.0, None, 2.0]}).write_csv(tmp_path / "rows.csv")
        found = data.load_table(tmp_path / "rows.csv", missing=True).values
        assert same(found, [[n], [1], [n], [2]])

    def test_an_index_of_text_does_not_change_what_separates(self, tmp_path):
        for separator in (",", ";", "\t"):
            text = ",a\nx,1.5\ny,2.5\n".replace(",", separator)
            assert table(tmp_path, text).values.tolist() == [[1.5], [2.5]]

    @pytest.mark.parametrize("text", ["1\t2\t\n3\t\t4\n", "\t1\t2\n\t\t4\n"])
    def test_gaps_do_not_change_what_separates(self, text, tmp_path):
        found = table(tmp_path, text, missing=True).values
        assert found.shape == (2, 3)
        assert np.isnan(found).any(axis=1).all()

    def test_in_several_columns_are_none(self, tmp_path):
        for text in ("a,b\n1,2\n\n3,4\n", "a,b\n1,2\n   \n3,4\n"):
            for missing in (False, True):
                found = table(tmp_path, text, missing=missing)
                assert found.values.tolist() == [[1, 2], [3, 4]]
        found = table(tmp_path, "a\tb\n1\t2\n\t\n", ".tsv", missing=True).values
        assert same(found, [[1, 2], [n, n]])


class TestOtherConventions:
    @pytest.mark.parametrize(("separator", "words"), [(";", "';'"), ("\t", "tabs")])
    @pytest.mark.parametrize("header", ["temp;humidity\n", ""])
    def test_decimal_commas(self, header, separator, words, tmp_path):
        text = f"{header}21,5;40,1\n22,25;41,0\n".replace(";", separator)
        line = 2 if header else 1
        told = (
            f"line {line}, column 1: expected a number, got '21,5'.*; write numbers with points, "
            rf"not decimal commas: 21.5 \(cells are separated by {words}\)"
        )
        with pytest.raises(ValueError, match=told):
            table(tmp_path, text)

    @pytest.mark.parametrize("separator", [" ", ",", "\t"])
    def test_names_of_rows_of_r(self, separator, tmp_path):
        text = '"a" "b"\n"1" 1.5 2\n"2" 3 4\n'.replace(" ", separator)
        told = (
            "line 2: expected 2 columns, got 3: the header in line 1 has 2; if rows begin with "
            "their names, as R writes them, add a first cell to the header, which may be empty"
        )
        with pytest.raises(ValueError, match=told):
            table(tmp_path, text)
        found = table(tmp_path, f'""{separator}{text}')
        assert found.names == ("a", "b")
        assert found.values.tolist() == [[1.5, 2], [3, 4]]

    @pytest.mark.parametrize("words", ["True False", "TRUE FALSE", "true false"])
    def test_truth(self, words, tmp_path):
        yes, no = words.split()
        expected = [[1, 1.5], [0, 2], [0, 3]]
        for header in ("old,size\n", ""):
            text = f"{header}{yes},1.5\n{no},2\n{no},3\n"
            assert table(tmp_path, text).values.tolist() == expected
            assert table(tmp_path, text.replace(",", ";")).values.tolist() == expected
        found = table(tmp_path, f"{yes},{no}\n{no},{no}\n")
        assert found.names is None
        assert found.values.tolist() == [[1, 0], [0, 0]]
        found = table(tmp_path, f"a,b\n{yes},1\n,2\n", missing=True).values
        assert same(found, [[1, 1], [n, 2]])

    def test_truth_of_pandas(self, tmp_path):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"old": [True, False], "size": [1.5, 2.0]})
        frame.to_csv(tmp_path / "rows.csv")
        found = data.load_table(tmp_path / "rows.csv")
        assert np.array_equal(found.values, frame.astype(float).to_numpy())

    def test_truth_is_of_whole_columns(self, tmp_path):
        told = (
            "line 3, column 1: expected TRUE or FALSE, as above, got '2' under 'a'; drop the column"
        )
        for missing in (False, True):
            with pytest.raises(ValueError, match=told):
                table(tmp_path, "a\nTrue\n2\n", missing=missing)
        told = "line 3, column 1: expected a number, got 'True' under 'a'"
        with pytest.raises(ValueError, match=told):
            table(tmp_path, "a\n2\nTrue\n")
        with pytest.raises(ValueError, match="expected a number, got 'yes'"):
            table(tmp_path, "a\nyes\n")

    def test_true_may_be_a_name(self, tmp_path):
        assert table(tmp_path, "true,found\n1.5,2\n").names == ("true", "found")


class TestNamesWithBlanks:
    def write(self, tmp_path):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {"a ": [1.0], "a": [2.0], " b": [3.0], "c d": [4.0]}
        parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
        return tmp_path / "rows.parquet"

    def test_are_found(self, tmp_path):
        path = self.write(tmp_path)
        for columns in (["a ", " b"], 'a ," b"'):
            assert data.load_table(path, columns=columns).values.tolist() == [[1, 3]]
        assert data.load_table(path, drop="a ").names == ("a", " b", "c d")
        assert data.load_table(path, columns="a, c d").names == ("a", "c d")
        assert table(tmp_path, "a,b\n1,2\n", columns="b , a ").names == ("b", "a")
        with pytest.raises(ValueError, match="columns: 'a' is there twice"):
            table(tmp_path, "a,b\n1,2\n", columns=["a", "a "])
        with pytest.raises(ValueError, match='no column ""; it has a, b'):
            table(tmp_path, "a,b\n1,2\n", columns="a,")

    def test_are_told(self, tmp_path):
        with pytest.raises(ValueError, match=r'no column e; it has "a ", a, " b", c d$'):
            data.load_table(self.write(tmp_path), columns="e")


class TestDroppedColumns:
    def test_may_be_lacking_where_a_model_says_which_to_take(self, tmp_path):
        found = table(tmp_path, "b,a\n1,2\n", features=("a", "b"), drop="label")
        assert found.values.tolist() == [[2, 1]]
        with pytest.raises(
            ValueError, match="no column a, which the model was trained on; it has b"
        ):
            table(tmp_path, "b,a\n1,2\n", features=("a", "b"), drop="a")
        np.save(tmp_path / "rows.npy", ROWS)
        for file in ("rows.npy", "rows.csv"):
            (tmp_path / "rows.csv").write_text(TEXT)
            found = data.load_table(tmp_path / file, features=("a", "b", "c"), drop="label")
            assert np.array_equal(found.values, ROWS)
        with pytest.raises(ValueError, match="no column label; it has b, a"):
            table(tmp_path, "b,a\n1,2\n", drop="label")
