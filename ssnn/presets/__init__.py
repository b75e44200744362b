"""The author's series: ant, bear (the article), cat and dolphin; each prints the lines of its original."""
