"""A classifier that begins with weights from the hub or a folder, checked before it is trained."""

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models.load import load_classifier
from tangodistill.models.pairing import pair_up
from tangodistill.models.trial import bears_bfloat16, try_out
from tangodistill.modules.classifier import ClassifierModule


class PretrainedClassifier(ClassifierModule):
    """Any Hugging Face sequence classifier, or an encoder that gets a new head; mixed into a module that trains."""

    def load(self, source: str, trust_remote_code: bool = False) -> bool:
        """Read model and tokenizer; whether the head is new, with the task's label names.

        Raises:
            UserError: one of them can't be found or read, or they are not of one model.
        """
        folder = str(resolve(source))
        self.model, new_head = load_classifier(folder, self.task.label_names, trust_remote_code)
        self.tokenizer = load_tokenizer(folder, trust_remote_code)
        pair_up(self.model, self.tokenizer)
        return new_head

    def make_ready(self, longest: int | None = None) -> None:
        """Settle how much it reads of a text, its precision and the order of its labels.

        Raises:
            UserError: its answer to a text is not the same in every batch, or its label names are not the data's.
        """
        self.max_length = self.reading_length(longest, self.model)
        try_out(self.model, self.tokenizer, self.max_length)
        self.bfloat16 = bears_bfloat16(self.model, self.tokenizer)
        self.model.train()  # from_pretrained leaves dropout off
        self.follow_task([self.model.config.id2label[i] for i in range(self.model.config.num_labels)])
