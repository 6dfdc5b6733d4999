"""A tier's graphs for the other engines."""

from tangodistill.engines.exported import TOKENIZER, write_facts
from tangodistill.engines.graphs import write_fp32, write_int8, write_int8_static
from tangodistill.engines.tier_record import GRAPHS
from tangodistill.engines.torch_engine import TorchEngine


def exported(source, folder, texts, quantise):
    """A tier folder's graphs, as `export` lays them out."""
    engine = TorchEngine.load(source)
    (folder / GRAPHS).mkdir()
    inputs = engine.encoder.encode(["good film", "a bad dull film"]).batch([0, 1])
    if engine.facts.exact_length:
        inputs = {"input_ids": inputs["input_ids"]}
    graph = write_fp32(engine.model, inputs, folder / GRAPHS)
    if quantise:
        write_int8(graph)
        write_int8_static(graph, (engine.encoder.encode(texts).batch([i]) for i in range(len(texts))))
    write_facts(folder / GRAPHS, engine.facts)
    engine.encoder.save(folder / GRAPHS / TOKENIZER)
    return folder
