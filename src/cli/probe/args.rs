//! What was typed after `vmtune-probe`: the doc comments are the help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::rdma::{DeviceArgs, RdmaArgs};
use crate::base::CpuSet;
use crate::cli::args::{STYLES, TextOrJson, When};
use crate::cli::time;

/// Where a probe listens and is looked for unless told otherwise: a port that
/// is assigned to nobody.
pub(super) const PORT: u16 = 18_600;

/// Measures what a machine loses and what two machines carry between them.
///
/// Start `serve` on one machine and `run` with its address on the other.
/// `run` alone measures what concerns one machine.
#[derive(Debug, Parser)]
#[command(name = "vmtune-probe", version, styles = STYLES)]
#[command(
    max_term_width = 100,
    after_help = "\
Examples:
  vmtune-probe run                     what the CPUs of this machine lose
  vmtune-probe serve                   answer a probe; prints the secret
  VMTUNE_PROBE_SECRET=... \\
    vmtune-probe run 192.0.2.7         the same, and TCP, UDP, RDMA to there
  vmtune-probe run --only jitter --cpus 2-5 --seconds 60
  vmtune-probe run 192.0.2.7 --only rdma --sizes sweep

Exit codes:
  0  done      1  error      2  wrong usage"
)]
pub(super) struct ProbeArgs {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: ProbeCommand,
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
    pub(super) color: When,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum ProbeCommand {
    /// Measure, with another probe where one is named
    Run(RunArgs),
    /// Answer other probes, one at a time
    Serve(ServeArgs),
}

/// Options of `run`.
#[derive(Debug, ClapArgs)]
pub(super) struct RunArgs {
    /// Where the other probe serves: an address or a name, and its port
    /// unless that is 18600
    pub(super) peer: Option<String>,
    /// Measure this alone; may be given several times
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(super) only: Vec<Part>,
    /// The CPUs to look for jitter on; all that may be used unless given
    #[arg(long, value_name = "CPULIST")]
    pub(super) cpus: Option<CpuSet>,
    /// How long each measurement takes, in seconds
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) seconds: u32,
    /// Over how many parts of that time the median is taken
    #[arg(long, value_name = "N", default_value_t = 7)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) repeats: u32,
    /// Bytes a message of the round trips
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub(super) size: u32,
    /// How many TCP connections carry the stream
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) connections: u32,
    /// Which RDMA device.
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// What to measure over RDMA.
    #[command(flatten)]
    pub(super) rdma: RdmaArgs,
    /// A file that holds the secret; VMTUNE_PROBE_SECRET may hold it instead
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: TextOrJson,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// What CPUs lose
    Jitter,
    /// How much goes through TCP
    Stream,
    /// Round trips over TCP
    Tcp,
    /// Round trips over UDP
    Udp,
    /// Write, read and send over RDMA
    Rdma,
}

/// Options of `serve`.
#[derive(Debug, ClapArgs)]
pub(super) struct ServeArgs {
    /// Where to listen
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value_t = SocketAddr::from(([0, 0, 0, 0], PORT))
    )]
    pub(super) listen: SocketAddr,
    /// Serve so many clients, and end
    #[arg(long, value_name = "N")]
    pub(super) clients: Option<u32>,
    /// End when nobody came for so long: 90s, 5m
    #[arg(long, value_name = "TIME", value_parser = time::span)]
    pub(super) idle: Option<Duration>,
    /// Which RDMA device.
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// A file that holds the secret; VMTUNE_PROBE_SECRET may hold it instead.
    /// One is drawn and printed otherwise
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
}
