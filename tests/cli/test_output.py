import doctest
import io
import os
import subprocess
import sys

import pytest

from tangodistill.cli import output
from tangodistill.cli.output import lasting_output

SAY = [sys.executable, "-m", "tangodistill", "recipes"]


def test_doctests():
    assert doctest.testmod(output).failed == 0


def printed(stream, *lines):
    """What a stream's bytes are after printing inside of `lasting_output`."""
    before, sys.stdout = sys.stdout, stream
    try:
        with lasting_output():
            for line in lines:
                print(line)
    finally:
        sys.stdout = before
    return stream.buffer.getvalue()


def test_what_an_encoding_lacks_is_written_otherwise():
    ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert printed(ascii, "2.0× as fast – 90 %", "größer") == b"2.0x as fast - 90 %\ngr\\xf6\\xdfer\n"
    assert printed(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), "2.0×") == "2.0×\n".encode()


def test_tables_reach_an_output_that_knows_only_ascii():
    from tangodistill.tuning.export import Agreement, _show

    ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    before, sys.stdout = sys.stdout, ascii
    try:
        with lasting_output():
            _show([Agreement(1, "torch-bf16", 0.9, 0.9, 1.0, 0.01)], "accuracy")
    finally:
        sys.stdout = before
    shown = ascii.buffer.getvalue().decode("ascii")
    assert "d logit" in shown and "torch-bf16" in shown and "+---" in shown


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_command_whose_output_knows_only_ascii(environment):
    code = "import sys; from tangodistill.cli import main as cli; sys.exit(cli.main())"
    show = f"from tangodistill.cli import main as cli; cli.overview = lambda: {ascii('2.0× – größer')}; {code}"
    environment = {**os.environ, **environment, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", show, "--help"], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"2.0x - gr\\xf6\\xdfer\n", b"")


def test_a_reader_who_leaves_ends_no_work():
    """`| head -1`: what follows goes nowhere, and is no error."""
    code = "import time; from tangodistill.cli import main as cli; cli.overview = lambda: time.sleep(0.2); "
    code += "cli.main(['--help']); import sys; print('done', file=sys.stderr)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "done\n"
    assert process.wait() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
def test_a_full_disk_under_the_log_is_told_and_the_work_goes_on():
    with open("/dev/full", "w") as full:
        done = subprocess.run(SAY, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert done.stderr == "The output can't be written any more (No space left on device); the work goes on.\n"


def test_closed_outputs_are_no_error():
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *SAY])
    assert done.returncode == 0
