//! What the system says of this process. Where it does not say it as Linux does, it is left out.

/// The figures of `/proc/self`.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) most_files: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// By user and system together.
    pub(crate) cpu_nanos: u64,
}

impl Process {
    pub(crate) fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open = std::fs::read_dir("/proc/self/fd").ok();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let [seconds, nanos] = [cpu.tv_sec, cpu.tv_nsec].map(|n| u64::try_from(n).unwrap_or(0));
        Self {
            resident_bytes: number(&status, "VmRSS:").map(|kib| kib * 1_024),
            // But for the one that reads.
            open_files: open.map(|entries| (entries.count() as u64).saturating_sub(1)),
            most_files: number(&limits, "Max open files"),
            threads: number(&status, "Threads:"),
            cpu_nanos: seconds.saturating_mul(1_000_000_000).saturating_add(nanos),
        }
    }
}

/// The first number on the line that begins with `name`.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, number};

    #[test]
    fn lines_of_the_system() {
        let text = "VmHWM:\t 9 kB\nVmRSS:\t    2480 kB\nMax open files            1024     4096     files\n";
        assert_eq!(number(text, "VmRSS:"), Some(2_480));
        assert_eq!(number(text, "Max open files"), Some(1_024));
        assert_eq!(number(text, "Threads:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process() {
        let process = Process::read();
        assert!(process.resident_bytes > Some(100_000));
        assert!(process.open_files > Some(2));
        assert!(process.most_files >= process.open_files);
        assert!(process.threads >= Some(1));
        assert!(process.cpu_nanos > 0);
    }
}
