//! What the kernel says of a process that is measured.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ticks of the times in `/proc/<pid>/stat` in a second; Linux shows 100 to every program.
/// <https://man7.org/linux/man-pages/man7/time.7.html>
const TICKS: u64 = 100;

/// A running process; killed when it is dropped.
pub struct Process(Child);

/// What it used so far.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub cpu: Duration,
    /// System calls that write, to files and sockets.
    pub writes: u64,
}

impl Process {
    pub fn spawn(command: &mut Command, log: PathBuf) -> Process {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([format!("-{signal}"), self.0.id().to_string()])
            .status();
        assert!(sent.unwrap().success(), "the process has ended");
    }

    pub fn used(&self) -> Used {
        let stat = self.read("stat");
        // The second field is the program's name in brackets; user and system time are 14 and 15.
        let fields = stat.rsplit_once(") ").unwrap().1;
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Used {
            cpu: Duration::from_millis(ticks * 1_000 / TICKS),
            writes: number(&self.read("io"), "syscw:"),
        }
    }

    /// Resident memory without the program itself, in kilobytes.
    pub fn memory(&self) -> u64 {
        number(&self.read("status"), "RssAnon:")
    }

    /// <https://man7.org/linux/man-pages/man5/proc_pid_io.5.html>
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }
}

fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
