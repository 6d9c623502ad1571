//! The daemon's resident memory, as the kernel counts it.

/// In kilobytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// Of it, what is not the program itself and other files.
    pub own: u64,
    /// The most since the process began.
    pub peak: u64,
}

impl Memory {
    /// Of this process. <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
    pub fn of(process: u32) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Memory {
            now: of("VmRSS:"),
            own: of("RssAnon:"),
            peak: of("VmHWM:"),
        }
    }

    /// Fails when it was ever more than so many megabytes beside the program itself, which is large where it
    /// is not optimised, and no matter of what is sent.
    pub fn below(self, megabytes: u64) -> Memory {
        let program = self.now - self.own;
        assert!(
            self.peak - program < megabytes * 1024,
            "{self}: without the program, more than {megabytes} MB"
        );
        self
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
        write!(
            f,
            "{:.1} MB ({:.1} without the program), at most {:.1} MB",
            megabytes(self.now),
            megabytes(self.own),
            megabytes(self.peak)
        )
    }
}
