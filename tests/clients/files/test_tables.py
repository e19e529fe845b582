"""Tables as people save them, and the mistakes of those who do it for the first time."""

import pytest

from loadloom.client.files.faults import Fault, InputError, shortened
from loadloom.client.files.orderly_cells import told
from loadloom.client.files.series import number
from loadloom.client.files.tables import read_table


@pytest.fixture
def read(tmp_path):
    """Reads the table in a content."""

    def read(content):
        (tmp_path / "t.csv").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        return read_table(tmp_path / "t.csv")

    return read


def faults(read, content):
    with pytest.raises(InputError) as caught:
        read(content)
    return [(fault.line, fault.column, fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cells_are_parted_as_spreadsheets_do(read, delimiter, mark, end):
    rows = (("user", "cap_kw"), ("bäckerei", "5"), ("hall", "6"))
    table = read(mark + end.join(delimiter.join(row) for row in rows) + end)
    assert table.cells == {"user": ["bäckerei", "hall"], "cap_kw": ["5", "6"]}
    assert table.lines == [2, 3]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("user,cap_kw\nhall,1\nbäckerei,5\n".encode("latin1"), 3),
        ("user,cap_kw\n".encode("utf-16"), 1),
        (b"PK\x03\x04\x00\x00sheet", None),
    ],
)
def test_what_is_no_text_is_told_with_what_to_do(read, content, line):
    ((at, _, message),) = faults(read, content)
    assert at == line
    assert message == "is not a text in UTF-8; save the sheet as CSV in UTF-8"


def test_rows_parted_by_decimal_commas_are_told_once_and_counted(read):
    found = faults(read, "time,kw\n" + "2030-03-04,50,5\n" * 30)
    assert [line for line, *_ in found] == [2, 3, 4, 5, 6, None]
    assert found[0][2] == (
        "has 3 cells; the header has 2; a comma in a cell parts it, unless quoted"
    )
    assert found[-1][2] == "25 more faults of this kind"


def test_a_table_without_names_of_columns_is_told_so(read):
    ((line, column, message),) = faults(read, "bakery,4,limit,4\nhall,4,limit,4\n")
    assert (line, column) == (1, 4)
    assert message.endswith("the first line holds the names of the columns")


@pytest.mark.parametrize(
    ("text", "decimal_comma", "hint"),
    [
        ("50,5", False, "; write it with a point before the decimals"),
        ("1,050.0", False, "; write it with a point before the decimals"),
        ("1.050,5", True, "; write it with a comma before the decimals"),
        ("1 050", False, "; write it with a point before the decimals"),
        ("95 %", False, "; write a share from 0 to 1, without %"),
        ("many", False, "' is not a number"),
    ],
)
def test_what_looks_like_a_number_is_told_with_what_would_be_one(text, decimal_comma, hint):
    with pytest.raises(ValueError, match="is not a number") as caught:
        number(text, decimal_comma)
    assert hint in str(caught.value)
    assert hint.startswith(";") or str(caught.value).endswith(hint)


def test_what_counts_the_rest_is_told_last(tmp_path):
    found = [Fault(file=tmp_path, message="bad", line=n) for n in (3, 2, 5, 4)]
    lines = [fault.line for fault in told([*shortened(found, 3), *found[3:]])]
    assert lines == [2, 3, 4, 5, None]
    assert shortened(found, 4) == found
