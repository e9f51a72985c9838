//! Visits to guests that are made up, and to such as lie.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::*;
use crate::hypervisor::{Cause, CauseKind, HypervisorError};

const FOLDER: &str = "/var/tmp/vmtune-probe.Abc4567890";
const REPORT: &[u8] = b"{\"jitter\": null}";

/// A guest with files, and programs that do what their names say.
#[derive(Default)]
struct Guest {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Where the open file is read next.
    open: RefCell<(String, usize)>,
    /// What each program that was started is.
    started: RefCell<Vec<String>>,
}

impl Guest {
    fn answer(&self, command: &Value) -> Value {
        let of = &command["arguments"];
        let text = |key: &str| of[key].as_str().unwrap().to_owned();
        let number =
            |key: &str| usize::try_from(of[key].as_u64().unwrap()).unwrap();
        let (path, at) = &mut *self.open.borrow_mut();
        let mut files = self.files.borrow_mut();
        match command["execute"].as_str().unwrap() {
            "guest-info" => {
                let offer = |name| json!({ "name": name, "enabled": true });
                let all: Vec<Value> = NEEDED.into_iter().map(offer).collect();
                json!({ "version": "8.2", "supported_commands": all })
            }
            "guest-file-open" => {
                (*path, *at) = (text("path"), 0);
                if text("mode") == "wb" {
                    files.insert(path.clone(), Vec::new());
                }
                json!(1000)
            }
            "guest-file-write" => {
                let piece = BASE64.decode(text("buf-b64")).unwrap();
                files.get_mut(path).unwrap().extend(&piece);
                json!({ "count": piece.len(), "eof": false })
            }
            "guest-file-read" => {
                let rest = &files[path][*at..];
                let most = number("count");
                let piece = &rest[..rest.len().min(most)];
                *at += piece.len();
                let buffer = BASE64.encode(piece);
                let eof = piece.len() < most;
                json!({ "count": piece.len(), "buf-b64": buffer, "eof": eof })
            }
            "guest-file-close" => json!({}),
            "guest-exec" => {
                let program = text("path");
                if program == "rm" {
                    let folder = of["arg"][3].as_str().unwrap();
                    files.retain(|path, _| !path.starts_with(folder));
                }
                self.started.borrow_mut().push(program);
                json!({ "pid": self.started.borrow().len() })
            }
            "guest-exec-status" => {
                let pid = number("pid");
                let out = match self.started.borrow()[pid - 1].as_str() {
                    "mktemp" => format!("{FOLDER}\n").into_bytes(),
                    probe if probe.starts_with('/') => REPORT.to_owned(),
                    _ => Vec::new(),
                };
                let data = BASE64.encode(out);
                json!({ "exited": true, "exitcode": 0, "out-data": data })
            }
            other => panic!("{other}"),
        }
    }

    /// Visits a guest whose answers to one command, the n-th time that it is
    /// given, are made something else.
    fn visit(
        &self,
        lie: impl Fn(&str, usize, Value) -> Result<String, String>,
    ) -> Result<Vec<u8>, VisitError> {
        let program = vec![7; CHUNK + 10];
        let times = RefCell::new(BTreeMap::<String, usize>::new());
        let ask = |line: &str, _: Duration| {
            let command: Value = serde_json::from_str(line).unwrap();
            let name = command["execute"].as_str().unwrap();
            let mut times = times.borrow_mut();
            let time = times.entry(name.to_owned()).or_default();
            *time += 1;
            let answer = json!({ "return": self.answer(&command) });
            lie(name, *time, answer).map_err(|message| HypervisorError::Agent {
                domain: "c7a5fdbd-edaf-9455-926a-d65c16db1809".parse().unwrap(),
                source: Cause::new(CauseKind::Other, message),
            })
        };
        visit(&ask, &program, &["run"], Duration::ZERO, &mut |_| {})
    }

    fn is_clean(&self) -> bool {
        self.files.borrow().is_empty()
    }
}

fn honest(_: &str, _: usize, answer: Value) -> Result<String, String> {
    Ok(answer.to_string())
}

#[test]
fn a_probe_is_brought_in_and_taken_out() {
    let guest = Guest::default();
    assert_eq!(guest.visit(honest).unwrap(), REPORT);
    assert!(guest.is_clean());
    let probe = format!("{FOLDER}/vmtune-probe");
    let started = guest.started.borrow();
    assert_eq!(*started, ["mktemp", "chmod", &probe, "rm"]);
}

#[test]
fn no_lie_gets_further_than_an_error() {
    let garbage = |text: &str| text.to_owned();
    type Lie = fn(&mut Value);
    let lies: [(&str, usize, &str, Lie); 12] = [
        ("guest-info", 1, "guest-exec", |v| {
            v["supported_commands"][0]["enabled"] = json!(false);
        }),
        ("guest-info", 1, "guest-info", |v| *v = json!([])),
        ("guest-exec", 1, "guest-exec", |v| v["pid"] = json!("1; reboot")),
        ("guest-exec-status", 1, "mktemp", |v| {
            v["out-data"] =
                json!(BASE64.encode("/etc/vmtune-probe.Abc4567890"));
        }),
        ("guest-exec-status", 1, "mktemp", |v| {
            let path = "/var/tmp/vmtune-probe.../../etc";
            v["out-data"] = json!(BASE64.encode(path));
        }),
        ("guest-exec-status", 1, "base64", |v| v["out-data"] = json!("%")),
        ("guest-file-open", 1, "guest-file-open", |v| *v = json!({})),
        ("guest-file-write", 2, "of 10 bytes", |v| v["count"] = json!(9)),
        ("guest-file-read", 2, "something else", |v| {
            let other = BASE64.encode(b"0123456789");
            *v = json!({ "count": 10, "buf-b64": other, "eof": true });
        }),
        ("guest-file-read", 1, "counts otherwise", |v| v["count"] = json!(1)),
        ("guest-exec-status", 3, "\\u{1b}[2J", |v| {
            v["exitcode"] = json!(1);
            v["err-data"] = json!(BASE64.encode("\x1b[2J"));
        }),
        ("guest-exec-status", 3, "more than", |v| {
            v["out-truncated"] = json!(true);
        }),
    ];
    for (command, time, says, lie) in lies {
        let guest = Guest::default();
        let outcome = guest.visit(|name, n, mut answer| {
            if (name, n) == (command, time) {
                lie(&mut answer["return"]);
            }
            Ok(garbage(&answer.to_string()))
        });
        let said = spelled(&outcome.unwrap_err());
        assert!(said.contains(says), "{command}: {said}");
        assert!(guest.is_clean(), "{command}: {said}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let long = "x".repeat((4 << 20) + 1);
    for text in ["", "{}", "null", "{\"return\":", "\u{1b}[2J", &long] {
        for command in NEEDED {
            let guest = Guest::default();
            let outcome = guest.visit(|name, _, answer| {
                let lies = name == command;
                Ok(if lies { text.to_owned() } else { answer.to_string() })
            });
            let said = spelled(&outcome.unwrap_err());
            assert!(said.contains(command), "{said}");
            assert!(!said.contains('\u{1b}') && said.len() < 2000, "{said}");
        }
    }
}

#[test]
fn a_folder_of_which_nothing_may_start_is_left_for_another() {
    let guest = Guest::default();
    let refused = |name: &str, n: usize, answer: Value| {
        if (name, n) == ("guest-exec", 3) {
            return Err("Failed to execute child process".to_owned());
        }
        Ok(answer.to_string().replace("/var/tmp/", "/tmp/"))
    };
    // The second folder is called as the first one here, and is no folder of
    // /tmp: what mktemp says is looked at each time.
    assert!(guest.visit(refused).is_err());
    let always = |name: &str, n: usize, answer: Value| match (name, n) {
        ("guest-exec", 3) => Err("Permission denied".to_owned()),
        _ => Ok(answer.to_string()),
    };
    let error = guest.visit(always).unwrap_err();
    assert!(matches!(error, VisitError::NoPlace { .. }), "{error:?}");
    assert!(error.hypervisor().is_some(), "{error:?}");
    assert!(guest.is_clean());
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let guest = Guest::default();
    let endless = |name: &str, n: usize, mut answer: Value| {
        if (name, n) == ("guest-exec-status", 3) {
            answer["return"] = json!({ "exited": false });
        }
        Ok(answer.to_string())
    };
    let error = guest.visit(endless).unwrap_err();
    assert!(matches!(error, VisitError::Late(_)), "{error:?}");
    assert!(guest.started.borrow().iter().any(|name| name == "kill"));
    assert!(guest.is_clean());
}

#[test]
fn what_is_left_behind_is_said() {
    let guest = Guest::default();
    let stubborn = |name: &str, n: usize, mut answer: Value| {
        if (name, n) == ("guest-exec-status", 4) {
            answer["return"]["exitcode"] = json!(1);
        }
        Ok(answer.to_string())
    };
    let error = guest.visit(stubborn).unwrap_err();
    let folder = matches!(&error, VisitError::Left { folder, .. }
        if folder == FOLDER);
    assert!(folder, "{error:?}");
}

/// Spells an error with its causes.
fn spelled(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", spelled(cause)),
        None => error.to_string(),
    }
}
