//! GRUB's generated menu: which entry starts by itself, and with what.

mod script;

use script::{Command, commands};

use super::{BootError, argument, environment, word};

/// An entry of the menu, or a menu below it.
#[derive(Debug, Default)]
struct Entry {
    title: String,
    id: Option<String>,
    /// Whether it is there only under a condition.
    conditional: bool,
    /// The arguments of each `linux` command.
    starts: Vec<Vec<Option<String>>>,
    /// The entries of a menu.
    entries: Option<Vec<Entry>>,
}

/// Returns the arguments with which the menu's default entry starts Linux.
/// `environment` is GRUB's environment block, which may say which entry that
/// is.
///
/// # Errors
/// When the menu leaves open what it starts, or that is not Linux alone.
pub fn generated(
    menu: &str,
    environment: Option<&str>,
) -> Result<Vec<(String, String)>, BootError> {
    let commands = commands(menu);
    let chosen = default(&commands, environment)?;
    let entries = entries(&commands);
    if entries.is_empty() {
        return Err(BootError::Menu("it holds no entries"));
    }
    let entry = find(&entries, &chosen)?;
    let [start] = entry.starts.as_slice() else {
        return Err(BootError::Menu("its default does not start one Linux"));
    };
    // What init gets is not the kernel's.
    let init = start.iter().position(|word| word.as_deref() == Some("--"));
    let start = &start[..init.unwrap_or(start.len())];
    // GRUB has taken the quotes away.
    let spelled = start.iter().map(|word| {
        let word = word.as_deref()?;
        let split = word.split_once('=');
        Some(split.map_or((word, None), |(n, v)| (n, Some(word::unquoted(v)))))
    });
    let found = argument::named(spelled);
    Ok(found.into_iter().map(|one| (one.name, one.value)).collect())
}

/// Returns what is chosen as the default: positions, titles or ids, of menus
/// and at last of an entry.
fn default(
    commands: &[Command],
    environment: Option<&str>,
) -> Result<Vec<String>, BootError> {
    let set = commands.iter().filter_map(|command| {
        let [set, value] = command.words.as_slice() else { return None };
        let value = value.source.strip_prefix("default=")?;
        (set.source == "set").then(|| value.trim_matches(['"', '\'']))
    });
    let variable = |name: &str| {
        let text = environment::variable(environment?, name)?;
        Some(text).filter(|text| !text.is_empty())
    };
    if variable("next_entry").is_some() {
        return Err(BootError::Menu("another entry is chosen for once"));
    }
    // The next boot alone is no default.
    let mut set = set.filter(|value| *value != "${next_entry}");
    let chosen = set.next_back();
    let chosen = match chosen {
        None => "0".to_owned(),
        Some("${saved_entry}") => {
            variable("saved_entry").unwrap_or_else(|| "0".to_owned())
        }
        Some(value) if value.contains('$') => {
            return Err(BootError::Menu("its default is another variable"));
        }
        Some(value) => value.to_owned(),
    };
    Ok(chosen.split('>').map(str::to_owned).collect())
}

fn entries(commands: &[Command]) -> Vec<Entry> {
    let mut open: Vec<Entry> = Vec::new();
    let mut top = Vec::new();
    // What each open brace belongs to: an entry, or something else.
    let mut braces = Vec::new();
    let mut conditions = 0_usize;
    for command in commands {
        let words = &command.words;
        let name = words.first().map_or("", |word| word.source.as_str());
        match name {
            "if" => conditions += 1,
            "fi" => conditions = conditions.saturating_sub(1),
            "menuentry" | "submenu" if command.opens => {
                let mut entry = entry(words);
                entry.conditional = conditions > 0;
                entry.entries = (name == "submenu").then(Vec::new);
                open.push(entry);
            }
            "linux" | "linux16" | "linuxefi" => {
                let arguments = words.get(2..).unwrap_or_default();
                let start = arguments.iter().map(|word| word.text.clone());
                if let Some(entry) = open.last_mut() {
                    entry.starts.push(start.collect());
                }
            }
            _ => {}
        }
        if command.opens {
            braces.push(matches!(name, "menuentry" | "submenu"));
        }
        if name == "}" && braces.pop() == Some(true) {
            let Some(done) = open.pop() else { continue };
            let parent =
                open.iter_mut().rev().find_map(|entry| entry.entries.as_mut());
            parent.unwrap_or(&mut top).push(done);
        }
    }
    top
}

fn entry(words: &[script::Word]) -> Entry {
    let text = |at: usize| words.get(at).and_then(|word| word.text.clone());
    let id = words.iter().position(|word| {
        ["--id", "$menuentry_id_option"].contains(&word.source.as_str())
    });
    let id = id.and_then(|at| text(at + 1)).or_else(|| {
        words.iter().find_map(|word| {
            Some(word.text.as_deref()?.strip_prefix("--id=")?.to_owned())
        })
    });
    Entry { title: text(1).unwrap_or_default(), id, ..Entry::default() }
}

/// Follows a choice through the menus; where it ends at a menu, to the first
/// entry there.
fn find<'e>(
    entries: &'e [Entry],
    chosen: &[String],
) -> Result<&'e Entry, BootError> {
    let first = String::from("0");
    let (choice, rest) = chosen.split_first().unwrap_or((&first, &[]));
    let at = match choice.parse::<usize>() {
        Ok(at) => {
            let before = entries.iter().take(at + 1);
            if before.clone().any(|entry| entry.conditional) {
                return Err(BootError::Menu(
                    "its default is counted, and an entry before it is not \
                     always there",
                ));
            }
            at
        }
        Err(_) => entries
            .iter()
            .position(|entry| {
                entry.title == *choice || entry.id.as_ref() == Some(choice)
            })
            .ok_or(BootError::Menu("its default is not among its entries"))?,
    };
    let entry = entries.get(at);
    let entry = entry.ok_or(BootError::Menu("its default is not there"))?;
    match &entry.entries {
        Some(inner) => find(inner, rest),
        None => Ok(entry),
    }
}
