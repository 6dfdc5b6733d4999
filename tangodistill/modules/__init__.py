"""LightningModules that train the tiers, and the data modules that feed them."""

from tangodistill.modules.datamodules import TextData, TransferData
from tangodistill.modules.deebert import DeeBertModule
from tangodistill.modules.dynamic_span import DynamicSpanModule
from tangodistill.modules.dynamic_tinybert import DynamicTinyBertModule
from tangodistill.modules.encoder_student import EncoderStudentModule
from tangodistill.modules.language_model import (
    LanguageModelData,
    LanguageModelModule,
)
from tangodistill.modules.masked_language_model import MaskedLanguageModelModule
from tangodistill.modules.span_data import SpanData
from tangodistill.modules.span_student import SpanStudentModule
from tangodistill.modules.span_teacher import SpanTeacherModule
from tangodistill.modules.student import StudentModule
from tangodistill.modules.teacher import TeacherModule
from tangodistill.modules.tinybert import TinyBertIntermediateModule, TinyBertModule

__all__ = [
    "DeeBertModule",
    "DynamicSpanModule",
    "DynamicTinyBertModule",
    "EncoderStudentModule",
    "LanguageModelData",
    "LanguageModelModule",
    "MaskedLanguageModelModule",
    "SpanData",
    "SpanStudentModule",
    "SpanTeacherModule",
    "StudentModule",
    "TeacherModule",
    "TextData",
    "TinyBertIntermediateModule",
    "TinyBertModule",
    "TransferData",
]
