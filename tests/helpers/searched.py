"""A Dynamic-TinyBERT made of a finished model, and a search's record of it: neither trains nor measures."""

from transformers import AutoConfig

from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models import DynamicTinyBertForQuestionAnswering
from tangodistill.models.load import load_classifier, load_span_model
from tangodistill.tuning.search import search


def write_dynamic(folder, source, dynamic):
    """The finished model in ``source`` as one of the class ``dynamic``."""
    load = load_span_model if dynamic is DynamicTinyBertForQuestionAnswering else load_classifier
    dynamic.from_bert(load(str(source))[0]).save_pretrained(folder)
    load_tokenizer(str(source)).save_pretrained(folder)
    return folder


def write_search(folder, model):
    """As if the score were the tokens that are kept, and the time too: all configurations are on the front."""

    def evaluate(asked):
        return [(sum(lengths) / len(lengths), sum(lengths)) for lengths in asked]

    layers = AutoConfig.from_pretrained(model).num_hidden_layers
    search(layers, evaluate, folder, {"model": str(model)}, iterations=1)
    return folder
