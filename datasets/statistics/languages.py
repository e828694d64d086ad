"""Languages of rows, as numbers in `facts.bin`."""

# In the order of their numbers, which stay: files of earlier counts hold them.
LANGUAGES = (
    *("", "zh", "en", "mixed", "other", "unsure", "ja", "ko", "de", "fr", "es", "pt", "it", "nl"),
    *("pl", "ru", "uk", "el", "ar", "he", "hi", "id", "th", "tr", "vi"),
)
