//! A Rust file as the scans see it: code without comments and literals.

/// A Rust file: its text, and its code without comments and literals.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) code: String,
    /// Whether the whole file is compiled for tests alone.
    pub(super) is_test: bool,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: code_of(text),
            is_test: false,
        }
    }

    /// Returns the floor that the file belongs to; `None` for `lib.rs`,
    /// `main.rs` and other binaries, which stand outside.
    pub(super) fn floor(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!["lib", "main", "bin"].contains(&name)).then_some(name)
    }

    /// Returns the lines of code with their numbers, and whether each is
    /// test code.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let tests = test_lines(&self.code);
        let is_test = self.is_test;
        self.code
            .lines()
            .zip(tests)
            .enumerate()
            .map(move |(i, (line, test))| (i + 1, line, test || is_test))
    }

    /// Returns how many modules deep the file is: 1 for a floor's face.
    pub(super) fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/");
        let parts = inside.trim_end_matches(".rs").split('/');
        parts.filter(|part| *part != "mod").count()
    }

    /// Returns the paths of the modules that are declared for tests alone.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let folder = self.path.strip_suffix("/mod.rs").map_or_else(
            || self.path.trim_end_matches(".rs").to_owned(),
            str::to_owned,
        );
        self.lines()
            .filter(|(_, _, test)| *test)
            .filter_map(|(_, line, _)| {
                line.trim().strip_prefix("mod ")?.strip_suffix(';')
            })
            .map(|name| format!("{folder}/{name}"))
            .collect()
    }
}

/// Blanks comments, strings and character literals; keeps the lines.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match at(i) {
            '/' if at(i + 1) == '/' => line_end(&chars, i),
            '/' if at(i + 1) == '*' => block_end(&chars, i),
            '"' => string_end(&chars, i),
            'r' if i == 0 || !word(at(i - 1)) || at(i - 1) == 'b' => {
                raw_end(&chars, i)
            }
            '\'' if at(i + 1) == '\\' => {
                (i + 3..chars.len()).find(|&j| at(j) == '\'').unwrap_or(i) + 1
            }
            '\'' if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end <= i {
            code.push(at(i));
            i += 1;
        }
        while i < end.min(chars.len()) {
            code.push(if at(i) == '\n' { '\n' } else { ' ' });
            i += 1;
        }
    }
    code
}

fn line_end(chars: &[char], start: usize) -> usize {
    let rest = &chars[start..];
    start + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

fn block_end(chars: &[char], start: usize) -> usize {
    let mut open = 0_usize;
    let mut i = start;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (open, i) = (open + 1, i + 2),
            ('*', '/') if open == 1 => return i + 2,
            ('*', '/') => (open, i) = (open - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Returns the end of a raw string, or `start` where there is none.
fn raw_end(chars: &[char], start: usize) -> usize {
    let marks = &chars[start + 1..];
    let hashes = marks.iter().take_while(|c| **c == '#').count();
    if marks.get(hashes) != Some(&'"') {
        return start;
    }
    let close: Vec<char> =
        std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = start + hashes + 2;
    (body..chars.len())
        .find(|&i| chars[i..].starts_with(&close))
        .map_or(chars.len(), |i| i + close.len())
}

/// Marks the lines of items under `#[cfg(test)]`. Relies on rustfmt: an item
/// that does not end on its first line ends at its own indentation.
fn test_lines(code: &str) -> Vec<bool> {
    let mut marks = Vec::new();
    // The indentation of the item, and whether its first line has been seen.
    let mut item: Option<(usize, bool)> = None;
    for line in code.lines() {
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        if item.is_none() && trimmed.starts_with("#[cfg(test)]") {
            item = Some((indent, false));
            marks.push(true);
            continue;
        }
        marks.push(item.is_some());
        let Some((of, begun)) = &mut item else { continue };
        let closes = *begun && indent == *of && trimmed.starts_with('}');
        let whole = !*begun && (trimmed.ends_with([';', '}']));
        if closes || whole {
            item = None;
        } else if !trimmed.is_empty() && !trimmed.starts_with("#[") {
            *begun = true;
        }
    }
    marks
}

/// Returns whether `text` stands at `at` as the start of a word.
pub(super) fn starts_word(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
}
