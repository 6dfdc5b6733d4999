"""Length configurations of a Dynamic-TinyBERT: searched by measuring, and chosen for a cascade."""
