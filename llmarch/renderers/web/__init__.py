"""Write reports and the gallery as HTML pages: no external request, readable without scripts."""
