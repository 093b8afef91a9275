//! `/metrics`: figures in the Prometheus text format.

use std::fmt::Write;
use std::rc::Rc;

use super::response::{Content, Response};
use crate::core::view::{Figures, View, WAITS};

/// Reads the backend's own figures at each request.
#[derive(Clone)]
pub struct BackendFigures(Rc<dyn Fn() -> Vec<Row>>);

/// A figure of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A counter since the start of the program; its name ends in `_total`.
    Counter(&'static str, &'static str, u64),
    /// A value that can rise and fall.
    Gauge(&'static str, &'static str, u64),
}

impl BackendFigures {
    /// For a backend without figures.
    pub fn none() -> Self {
        Self::by(Vec::new)
    }

    /// Calls this function.
    pub fn by(rows: impl Fn() -> Vec<Row> + 'static) -> Self {
        Self(Rc::new(rows))
    }
}

impl std::fmt::Debug for BackendFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackendFigures")
    }
}

/// `GET /metrics`
pub(super) fn answer(view: View<'_>, backend: &BackendFigures) -> Response {
    let figures = view.figures();
    let mut page = Page(String::new());
    page.gauge("cook_jobs", "Jobs by state.");
    page.labelled("cook_jobs", "state", "waiting", view.waiting());
    page.labelled("cook_jobs", "state", "running", view.live());
    page.labelled("cook_jobs", "state", "completed", view.completed());
    page.counter(
        "cook_jobs_submitted_total",
        "Jobs accepted since the scheduler started.",
    );
    page.line("cook_jobs_submitted_total", figures.submitted);
    page.counter(
        "cook_instances_started_total",
        "Instances started since the scheduler started.",
    );
    page.line("cook_instances_started_total", figures.started);
    page.counter(
        "cook_instances_ended_total",
        "Instances ended since the scheduler started, by result and failure reason.",
    );
    let name = "cook_instances_ended_total{result=\"success\"}";
    page.line(name, figures.succeeded);
    for (reason, count) in &figures.failed {
        let code = reason.code();
        let name = format!("cook_instances_ended_total{{result=\"failed\",reason=\"{code}\"}}");
        page.line(&name, *count);
    }
    page.waits(figures);
    page.counter(
        "cook_commits_total",
        "Batches of changes written to the store since the scheduler started.",
    );
    page.line("cook_commits_total", figures.batches);
    page.gauge(
        "cook_backend_connected",
        "Whether the backend that runs the jobs is connected.",
    );
    page.line("cook_backend_connected", u8::from(view.is_connected()));
    for row in (backend.0)() {
        match row {
            Row::Counter(name, help, value) => {
                page.counter(name, help);
                page.line(name, value);
            }
            Row::Gauge(name, help, value) => {
                page.gauge(name, help);
                page.line(name, value);
            }
        }
    }
    Response {
        content: Content::Metrics,
        ..Response::text(200, page.0)
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, "gauge", help);
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.head(name, "counter", help);
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn labelled(&mut self, name: &str, label: &str, value: &str, count: usize) {
        let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {count}");
    }

    fn waits(&mut self, figures: &Figures) {
        let name = "cook_submit_to_start_seconds";
        self.head(
            name,
            "histogram",
            "Time from a job's submission to its first start.",
        );
        let mut below = 0;
        for (count, bound) in figures.waits.iter().zip(WAITS) {
            below += count;
            let bound = bound as f64 / 1000.0;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let all: u64 = figures.waits.iter().sum();
        let sum = figures.waited as f64 / 1000.0;
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(self.0, "{name}_sum {sum}\n{name}_count {all}");
    }
}
