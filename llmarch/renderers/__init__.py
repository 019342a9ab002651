"""Write neutral documents as text, Markdown, JSON, SARIF, JUnit and annotations."""
