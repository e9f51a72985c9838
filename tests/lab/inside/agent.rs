//! Programs in a guest, by way of its agent.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Lab, wait};

/// How long a program in a guest may run, in seconds.
const PATIENCE: u64 = 120;

/// A program that runs in a guest.
pub(crate) struct Running {
    vm: String,
    pid: Value,
}

impl Lab {
    /// Gives the agent a command and returns what it answers.
    pub(crate) fn agent(&self, vm: &str, command: &Value) -> Result<Value> {
        let command = command.to_string();
        let line = ["qemu-agent-command", vm, &command, "--timeout", "30"];
        let answer: Value = serde_json::from_str(&self.virsh("agent", &line)?)?;
        Ok(answer["return"].clone())
    }

    /// Starts a program in a guest.
    pub(crate) fn guest_start(
        &self,
        vm: &str,
        line: &[&str],
    ) -> Result<Running> {
        let arguments = json!({
            "path": line[0],
            "arg": &line[1..],
            "env": ["PATH=/usr/bin:/bin"],
            "capture-output": true,
        });
        let command = json!({"execute": "guest-exec", "arguments": arguments});
        let pid = self.agent(vm, &command)?["pid"].clone();
        ensure!(pid.is_u64(), "the agent has started nothing: {line:?}");
        Ok(Running { vm: vm.to_owned(), pid })
    }

    /// Waits until a program in a guest ends, which has to be in success;
    /// keeps its output under `name` and returns it.
    pub(crate) fn guest_wait(
        &self,
        name: &str,
        running: &Running,
    ) -> Result<String> {
        let arguments = json!({"pid": running.pid});
        let command =
            json!({"execute": "guest-exec-status", "arguments": arguments});
        let ended =
            wait(&format!("{name} ends in the guest"), PATIENCE, || {
                let status = self.agent(&running.vm, &command).ok()?;
                (status["exited"] == true).then_some(status)
            })?;
        let output = |key: &str| decoded(ended[key].as_str().unwrap_or(""));
        let code = ended["exitcode"].as_i64().context("no exit code")?;
        let text = output("out-data")?;
        self.keep(name, &text)?;
        ensure!(code == 0, "{name}: {code}: {}{text}", output("err-data")?);
        Ok(text)
    }

    /// Runs a program in a guest.
    pub(crate) fn guest_run(
        &self,
        vm: &str,
        name: &str,
        line: &[&str],
    ) -> Result<String> {
        let running = self.guest_start(vm, line)?;
        self.guest_wait(name, &running)
    }
}

/// Decodes base64, in which the agent answers.
fn decoded(text: &str) -> Result<String> {
    let bytes = BASE64.decode(text)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
