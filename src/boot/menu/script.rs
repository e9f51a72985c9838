//! The commands of a script for GRUB, and their words.

/// A command.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Its words.
    pub(super) words: Vec<Word>,
    /// Whether a block in braces follows.
    pub(super) opens: bool,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it is written.
    pub(super) source: String,
    /// Without quotes; `None` where it holds a variable.
    pub(super) text: Option<String>,
}

/// Separates the commands of a script.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut command = Command::default();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        match c {
            _ if rest.starts_with("\\\n") => at += 2,
            '\n' | ';' | '&' | '|' => {
                at += 1;
                commands.push(std::mem::take(&mut command));
            }
            c if c.is_ascii_whitespace() => at += 1,
            '#' => at += rest.find('\n').unwrap_or(rest.len()),
            _ => {
                let (word, len) = word(rest);
                at += len;
                command.opens = word.source == "{";
                if word.source == "}" || command.opens {
                    // A block begins or ends a list of commands.
                    if command.opens {
                        commands.push(std::mem::take(&mut command));
                    } else {
                        commands.push(std::mem::take(&mut command));
                        let words = vec![word];
                        commands.push(Command { words, opens: false });
                    }
                } else if ["then", "else", "do"].contains(&word.source.as_str())
                    && command.words.is_empty()
                {
                    // What follows is a command of its own.
                } else {
                    command.words.push(word);
                }
            }
        }
    }
    commands.push(command);
    commands.retain(|command| !command.words.is_empty() || command.opens);
    commands
}

/// Reads the word that a text begins with, and returns its length.
fn word(text: &str) -> (Word, usize) {
    let mut out = Some(String::new());
    let push = |out: &mut Option<String>, c: char| {
        if let Some(out) = out {
            out.push(c);
        }
    };
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    let mut len = text.len();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (Some('\''), c) => push(&mut out, c),
            (_, '\\') if next == Some('\n') => drop(chars.next()),
            (None, '\\') => {
                if let Some((_, c)) = chars.next() {
                    push(&mut out, c);
                }
            }
            (_, '\\') if matches!(next, Some('$' | '"' | '\\')) => {
                if let Some((_, c)) = chars.next() {
                    push(&mut out, c);
                }
            }
            (_, '$') => out = None,
            (None, c)
                if c.is_ascii_whitespace() || matches!(c, ';' | '&' | '|') =>
            {
                len = at;
                break;
            }
            (_, c) => push(&mut out, c),
        }
    }
    let source = text[..len].replace("\\\n", "");
    (Word { source, text: out }, len)
}
