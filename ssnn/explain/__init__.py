"""Why a network says what it says: an analysis, its text, and a page to try it on."""
