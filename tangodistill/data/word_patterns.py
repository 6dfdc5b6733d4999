"""What a word is to the student's tokenizer. No pattern matches a blank, so that each word is told by itself."""

from tangodistill.data.scripts import CHARACTER, UNSPACED

# Raw text and text that is already split (treebank style) are written alike.
SPELLINGS = {
    r"[‘’]": "'",
    r"``|''|[“”]": '"',
    r"-lrb-": "(",
    r"-rrb-": ")",
    r"…|\.{2,}": "...",
    r"[–—]|-{2,}": "--",
}
# GloVe's words: contractions apart ("does n't", "it 's"), numbers and dashes whole, every other mark by itself.
# Hyphens split too: GloVe has many hyphenated words, but too few of a student's rows would be theirs.
# Where no blanks part words, each character is one.
LETTER = rf"[^\W{UNSPACED}]"
WORD = rf"{CHARACTER}|n't\b|{LETTER}+?(?=n't\b)|'(?:s|re|ve|ll|d|m)\b|\d+(?:[.,]\d+)+|\.{{3}}|-{{2}}|{LETTER}+|[^\w\s]"
