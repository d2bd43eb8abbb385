"""Pages of a run, of a study and of all studies: self-contained HTML files; `page/` has their HTML, CSS and scripts."""
