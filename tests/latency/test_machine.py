import json
from importlib.metadata import version

import pytest

from tangodistill.latency import machine


def test_the_record_is_json_and_whole():
    record = machine.describe_machine()
    assert json.loads(json.dumps(record)) == record
    assert record["cpu"] and record["logical_cores"] >= 1 and record["torch_threads"] >= 1
    assert record["memory_gib"] > 0


def test_the_cpu_is_named_where_proc_has_no_name(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda path: None)
    assert machine.cpu_model()


def test_versions():
    versions = machine.library_versions()
    assert versions["torch"] == version("torch")
    assert set(versions) == {"python", "torch", "transformers", "tokenizers", "onnxruntime", "openvino", "numpy"}


X86 = """processor\t: {core}
vendor_id\t: AuthenticAMD
cpu family\t: {family}
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1
microcode\t: 0x{core}
flags\t\t: fpu sse2 sme smep avx avx2 fma {flags}
"""
ARM = """processor\t: {core}
BogoMIPS\t: 50.00
Features\t: fp asimd crc32 asimddp {flags}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: {part}
CPU revision\t: 1
"""


@pytest.fixture
def identity_of(monkeypatch):
    def identity(text):
        monkeypatch.setattr(machine, "_read", lambda path: text)
        return machine.cpu_identity()

    return identity


def test_unlike_cpus_of_one_name_are_told_apart(identity_of):
    rome, genoa = (X86.format(core=0, family=23, model=49, flags=""), X86.format(core=0, family=25, model=17, flags=""))
    assert identity_of(rome) == "AMD EPYC (cpu family 23, model 49, stepping 1; avx2 fma)"
    masked = X86.format(core=0, family=25, model=17, flags="avx512_bf16 amx_tile avx_vnni")
    assert identity_of(masked).endswith("(cpu family 25, model 17, stepping 1; amx_tile avx2 avx512_bf16 avx_vnni fma)")
    assert len({identity_of(text) for text in (rome, genoa, masked)}) == 3


def test_the_number_of_cores_is_no_part_of_the_identity(identity_of):
    one = X86.format(core=0, family=25, model=17, flags="")
    assert identity_of(one + "\n" + one.replace(": 0", ": 1")) == identity_of(one)


def test_arm_has_no_model_name(identity_of, monkeypatch):
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    graviton3 = identity_of(ARM.format(core=0, part="0xd40", flags="sve bf16 i8mm"))
    assert graviton3 == (
        "aarch64 (CPU implementer 0x41, CPU variant 0x1, CPU part 0xd40, CPU revision 1; asimd asimddp bf16 i8mm sve)"
    )
    assert identity_of(ARM.format(core=0, part="0xd0c", flags="")) != graviton3


def test_without_proc_the_system_is_asked(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda path: None)
    monkeypatch.setattr(machine, "_sysctl", lambda name: "Apple M4")
    assert machine.cpu_identity() == "Apple M4"
    monkeypatch.setattr(machine, "_sysctl", lambda name: None)
    assert machine.cpu_identity() == machine.cpu_model()
