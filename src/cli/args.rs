//! What was typed: the doc comments are the help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::time;

/// Headings in bold, what is typed in cyan: the colours of the reports.
pub(super) const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new());

/// Takes VMs from their defaults to the limit of their host.
///
/// vmtune reads the host and the VM, plans which CPUs, memory and settings
/// the VM should have, says why, does it, and can undo it.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "\
Examples:
  vmtune plan vm1              what would make vm1 faster, and why
  vmtune apply                 make the changes of that plan
  vmtune status                what of them still holds
  vmtune rollback              undo them
  vmtune explain hugepages     the reason behind one rule

Exit codes:
  0  done                      4  apply failed and was rolled back
  1  error                     5  rollback is incomplete: act now
  2  wrong usage               6  check, status or verify finds
  3  changes are planned       7  refused: nothing fits
     (--detailed-exitcode)")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// Show more: each of many like changes, the number of each CPU
    #[arg(short, long, global = true, display_order = 900)]
    pub verbose: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        display_order = 901,
        value_name = "auto|always|never",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: When,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the host: CPUs, memory, devices, and who holds them
    Facts(FactsArgs),
    /// Work out what would make VMs faster, and why; change nothing
    Plan(PlanArgs),
    /// Judge VMs as they are; change nothing
    Check(CheckArgs),
    /// Make the changes of a plan; undone by `rollback`
    Apply(ApplyArgs),
    /// Tell what of the applied plans still holds; change nothing
    Status(StatusArgs),
    /// Look at a VM from inside, and judge what is there
    Verify(VerifyArgs),
    /// Keep a transaction that waits to be confirmed
    Confirm(ConfirmArgs),
    /// Undo a transaction, to the byte
    Rollback(RollbackArgs),
    /// Finish a transaction that was cut off
    Resume(ResumeArgs),
    /// List what was applied and undone
    History(HistoryArgs),
    /// Say why a rule exists, when it hurts and what it rests on
    Explain(ExplainArgs),
    /// Undo a transaction that is not confirmed in time; `apply` starts this
    #[command(hide = true)]
    UndoUnlessConfirmed(WatchArgs),
}

/// Where host and VMs are read.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Where to read")]
pub(super) struct SourceArgs {
    /// libvirt's URI, or proxmox:/// for this node of Proxmox [default:
    /// $LIBVIRT_DEFAULT_URI, else the node, else libvirt's own]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
    /// Read the host from a facts file, an hwloc XML file, a captured tree,
    /// or synthetic:DESCRIPTION, instead of this machine
    #[arg(long, value_name = "SRC")]
    pub(super) host: Option<String>,
    /// Read a VM from its libvirt XML, instead of libvirt; `-` is standard
    /// input; may be given several times
    #[arg(long = "domain", value_name = "FILE")]
    pub(super) domains: Vec<String>,
}

/// What is wanted.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "What is wanted")]
pub(super) struct PolicyArgs {
    /// A policy file, or a preset: balanced, latency, throughput, security
    #[arg(long, value_name = "FILE|PRESET", default_value = "balanced")]
    pub(super) policy: String,
    /// Heed this rule alone; may be given several times
    #[arg(long, value_name = "RULE")]
    pub(super) only: Vec<String>,
}

/// Arguments of `facts`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  vmtune facts                              this machine
  vmtune facts --format json > host.json    for `--host host.json` elsewhere
  vmtune facts --host 'synthetic:[numa(memory=64GiB)] l3:2 core:8 pu:2'
  vmtune facts --capture host1              a folder to attach to a report")]
pub(super) struct FactsArgs {
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: TextOrJson,
    /// Also write what was read into a new folder, with serial numbers and
    /// hardware addresses replaced
    #[arg(long, value_name = "DIR")]
    pub(super) capture: Option<PathBuf>,
    /// Where to read.
    #[command(flatten)]
    pub(super) sources: SourceArgs,
}

/// Arguments of `plan`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  vmtune plan vm1
  vmtune plan vm1 vm2 --policy latency      both together
  vmtune plan 101                           on a node of Proxmox
  vmtune plan --all --format diff
  vmtune plan --host host.json --domain vm1.xml --format xml > tuned.xml

The plan is saved for `vmtune apply`, unless --host or --domain is given;
then --out saves it. Nothing fits: exit 7, and the shortage is named.")]
pub(super) struct PlanArgs {
    /// The VMs, by name, UUID or VMID; with --domain, those among the files
    #[arg(value_name = "VM")]
    pub(super) vms: Vec<String>,
    /// Plan every VM of the connection
    #[arg(long, conflicts_with = "vms")]
    pub(super) all: bool,
    /// How to show the plan
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: PlanFormat,
    /// Save the plan in this file
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Write each VM's new definition to DIR/NAME.xml (with --format xml) or
    /// DIR/VMID.conf (conf); DIR is made where there is none
    #[arg(long, value_name = "DIR")]
    pub(super) out_dir: Option<PathBuf>,
    /// Print passwords and keys that definitions hold
    #[arg(long)]
    pub(super) show_secrets: bool,
    /// Exit with 3 when changes are planned, 0 when there is nothing to do
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// Where to read.
    #[command(flatten)]
    pub(super) sources: SourceArgs,
    /// What is wanted.
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// For people: what, why, when it takes effect, what it costs in safety
    Text,
    /// The plan file
    Json,
    /// The new definition of a VM of libvirt
    Xml,
    /// The new definition of a VM of Proxmox
    Conf,
    /// A unified diff of the definitions
    Diff,
    /// A shell script to read and run instead of `apply`
    Script,
}

impl PlanFormat {
    /// Returns the name of a format that is a definition's own text.
    pub(super) const fn definition(self) -> Option<&'static str> {
        match self {
            Self::Xml => Some("xml"),
            Self::Conf => Some("conf"),
            Self::Text | Self::Json | Self::Diff | Self::Script => None,
        }
    }
}

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  vmtune check                     every VM of this host
  vmtune check --domain vm1.xml    a definition, against this host

Findings: exit 6.")]
pub(super) struct CheckArgs {
    /// The VMs, by name or UUID; all where none is named
    #[arg(value_name = "VM")]
    pub(super) vms: Vec<String>,
    /// How to show the findings
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: TextOrJson,
    /// Where to read.
    #[command(flatten)]
    pub(super) sources: SourceArgs,
    /// What is wanted.
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
}

/// Arguments of `apply`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A plan is refused when host or VM have changed since it was made.

Examples:
  vmtune apply --dry-run               the steps, with each file and command
  vmtune apply --now                   only what takes effect at once
  vmtune apply --confirm-within 5m     undone again unless you still can type
                                       `vmtune confirm`")]
pub(super) struct ApplyArgs {
    /// The plan file [default: the plan that was saved last]
    #[arg(value_name = "PLAN")]
    pub(super) plan: Option<PathBuf>,
    /// libvirt's URI [default: the one that the plan was made from]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Show what would be done, in order, and change nothing
    #[arg(long, conflicts_with_all = ["yes", "confirm_within"])]
    pub(super) dry_run: bool,
    /// Make only the changes that take effect at once; the others stay
    /// planned
    #[arg(long)]
    pub(super) now: bool,
    /// Undo all of it by itself after that time, as 30s, 5m or 1h, unless
    /// `vmtune confirm` keeps it
    #[arg(long, value_name = "TIME", value_parser = time::span)]
    pub(super) confirm_within: Option<Duration>,
}

/// Arguments of `confirm`.
#[derive(Debug, ClapArgs)]
pub(super) struct ConfirmArgs {}

/// Arguments of `undo-unless-confirmed`.
#[derive(Debug, ClapArgs)]
pub(super) struct WatchArgs {
    /// The transaction
    #[arg(value_name = "TX")]
    pub(super) transaction: String,
    /// When, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    pub(super) until: u64,
    /// libvirt's URI
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
}

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  vmtune status                    all that was applied
  vmtune status vm1 --format json  for a timer or a monitoring check

Something has drifted: exit 6. What waits for a start or a boot has not. A
value of the kernel that a boot has undone has drifted, unless something sets
it at each boot.")]
pub(super) struct StatusArgs {
    /// The VMs, by name or UUID; where none is named all, and the host
    #[arg(value_name = "VM")]
    pub(super) vms: Vec<String>,
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: TextOrJson,
    /// libvirt's URI [default: the one that the plan was made from]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
}

/// Arguments of `verify`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  vmtune verify vm1                what each vCPU of vm1 loses, and to whom
  vmtune verify vm1 --baseline     the same, kept to compare later ones with
  vmtune verify vm1 --manual       how to do it where the guest has no agent
  vmtune verify vm1 --from vm1.json

The probe is put into the guest by its agent (qemu-guest-agent), measures, and
is taken out again. Something is not as it should be: exit 6.")]
pub(super) struct VerifyArgs {
    /// The VM, by name or UUID
    #[arg(value_name = "VM")]
    pub(super) vm: String,
    /// How long to measure, in seconds
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) seconds: u32,
    /// The probe [default: vmtune-probe beside vmtune, else in
    /// /usr/lib/vmtune]
    #[arg(long, value_name = "FILE")]
    pub(super) probe: Option<PathBuf>,
    /// Keep this look, so that later ones are compared with it: before a VM
    /// is tuned
    #[arg(long, conflicts_with = "manual")]
    pub(super) baseline: bool,
    /// Print the commands to type in the guest; change nothing
    #[arg(long, conflicts_with_all = ["from", "format"])]
    pub(super) manual: bool,
    /// Judge what a probe printed in the guest, instead of sending one
    #[arg(long, value_name = "FILE", conflicts_with = "probe")]
    pub(super) from: Option<PathBuf>,
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: TextOrJson,
    /// libvirt's URI [default: the one that the plan was made from]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
}

/// Arguments of `rollback`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Each VM gets the definition that it had before; it is in effect when the VM
starts next. Files and values of the host are as they were, and what depends
on a file is made anew; arguments of the kernel go when the host boots.")]
pub(super) struct RollbackArgs {
    /// The transaction, as `history` lists it [default: the last]
    #[arg(value_name = "TX")]
    pub(super) transaction: Option<String>,
    /// libvirt's URI [default: the one that the plan was made from]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Undo it even where something was changed since: that change is lost
    #[arg(long)]
    pub(super) force: bool,
}

/// Arguments of `resume`.
#[derive(Debug, ClapArgs)]
pub(super) struct ResumeArgs {
    /// libvirt's URI [default: the one that the plan was made from]
    #[arg(short, long, value_name = "URI")]
    pub(super) connect: Option<String>,
}

/// Arguments of `history`.
#[derive(Debug, ClapArgs)]
pub(super) struct HistoryArgs {
    /// How to show the list
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: TextOrJson,
}

/// Arguments of `explain`.
#[derive(Debug, ClapArgs)]
pub(super) struct ExplainArgs {
    /// The rule; all are listed where none is named
    #[arg(value_name = "RULE")]
    pub(super) rule: Option<String>,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TextOrJson {
    /// For people
    Text,
    /// For programs
    Json,
}
