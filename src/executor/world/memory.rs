//! How much memory the executor itself has taken, for the log: Cook's operators know this line.

use std::time::Duration;

use async_io::Timer;
use tracing::info;

use crate::world::process::proc;

/// Writes the line now and then, for as long as it is let.
pub async fn report_every(interval: Duration) {
    loop {
        report();
        Timer::after(interval).await;
    }
}

/// Writes the line: the most that was in memory at once, as in Cook's executor.
pub fn report() {
    let Ok(status) = proc::read_text("/proc/self/status") else {
        return;
    };
    if let Some(kilobytes) = peak(&status) {
        let tenths = kilobytes * 10 / 1024;
        info!("Executor Memory usage: {}.{} MB", tenths / 10, tenths % 10);
    }
}

/// The peak of the resident set in kB (proc_pid_status(5)).
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_peak() {
        assert_eq!(
            peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"),
            Some(1234)
        );
        let status = proc::read_text("/proc/self/status").expect("this is Linux");
        assert!(peak(&status).is_some());
    }
}
