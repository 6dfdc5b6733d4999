"""Labels where spans are asked for, and the other way round: told before anything is loaded."""

import pytest
from quiet_trainer import trainer
from separable import write_questions

from tangodistill.data.sources import DatasetConfig
from tangodistill.modules import (
    DeeBertModule,
    DynamicSpanModule,
    DynamicTinyBertModule,
    EncoderStudentModule,
    LanguageModelData,
    LanguageModelModule,
    SpanData,
    SpanStudentModule,
    SpanTeacherModule,
    StudentModule,
    TeacherModule,
    TextData,
    TinyBertModule,
    TransferData,
)
from tangodistill.user_error import UserError


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return DatasetConfig(str(write_questions(tmp_path_factory.mktemp("questions") / "squad")), task="squad")


CLASSIFIERS = (
    *(TeacherModule, StudentModule, EncoderStudentModule),
    *(TinyBertModule, DynamicTinyBertModule, DeeBertModule),
)


@pytest.mark.parametrize("module", CLASSIFIERS, ids=lambda module: module.__name__)
def test_classifiers_are_not_trained_on_spans(module, questions, tmp_path):
    told = (
        rf"model.class_path is {module.__name__}, which is for labels, but the task squad asks for spans of contexts. "
        r"Use SpanTeacherModule, SpanStudentModule or DynamicSpanModule, with SpanData"
    )
    with pytest.raises(UserError, match=told):
        trainer(tmp_path).fit(module("nowhere"), SpanData(questions))


@pytest.mark.parametrize("module", [SpanTeacherModule, SpanStudentModule, DynamicSpanModule], ids=lambda m: m.__name__)
def test_span_modules_are_not_trained_on_labels(module, dataset, tmp_path):
    needed = ("nowhere",) if module is SpanTeacherModule else ("nowhere", "nowhere")
    with pytest.raises(UserError, match=rf"model.class_path is {module.__name__}, which is for spans of contexts, but"):
        trainer(tmp_path).fit(module(*needed), TextData(dataset))


def test_the_data_module_must_fit_too(questions, dataset, tmp_path):
    for data in (TextData(questions), TransferData(questions, "nowhere")):
        with pytest.raises(UserError, match=r"data.class_path is (Text|Transfer)Data, which is for labels"):
            trainer(tmp_path).fit(SpanTeacherModule("nowhere"), data)
    with pytest.raises(UserError, match="data.class_path is SpanData, which is for spans of contexts, but"):
        trainer(tmp_path).validate(TeacherModule("nowhere"), SpanData(dataset), verbose=False)


def test_a_language_model_has_no_labels_to_begin_with_where_spans_are_asked_for(questions, tmp_path):
    with pytest.raises(UserError, match="conditioning is label, but the task squad has no labels. Leave it at none."):
        trainer(tmp_path).fit(LanguageModelModule(conditioning="label"), LanguageModelData(questions))
