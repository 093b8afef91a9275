//! The memory use of the executor itself, as a log line that operators of Cook know.

use std::time::Duration;

use async_io::Timer;
use tracing::info;

use crate::world::process::proc;

/// Writes the line regularly, until the future is dropped.
pub async fn report_every(interval: Duration) {
    loop {
        report();
        Timer::after(interval).await;
    }
}

/// Writes the line with the peak of resident memory, as Cook's executor does.
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
    fn the_peak_is_parsed() {
        assert_eq!(
            peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"),
            Some(1234)
        );
        let status = proc::read_text("/proc/self/status").expect("this is Linux");
        assert!(peak(&status).is_some());
    }
}
