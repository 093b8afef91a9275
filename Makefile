# Builds, tests and measures the programs. It needs a Rust toolchain from rustup and a C compiler for the build machine;
# targets that need more install it.

TARGET ?= x86_64-unknown-linux-musl
RELEASE = target/$(TARGET)/release
EXECUTOR = $(RELEASE)/cook-executor
# The executor that the tests run. It is built alone, like the shipped one, so that features that other packages enable are
# not in it.
TESTED = target/tested/cook-executor
SCHEDULER = $(RELEASE)/cook-scheduler
CARGO = cargo
JOB ?=
SERVE ?=
CHAOS ?=
FUZZ_SECONDS ?= 60
SOAK ?=
OTHERS ?=
BENCH ?=

.DEFAULT_GOAL := build

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: target-$(TARGET) ## Build the executor: one static file
	packaging/cargo.sh $(TARGET) build
	@ls -l $(EXECUTOR)

.PHONY: release-all
release-all: ## Build the executor for x86_64 and aarch64
	$(MAKE) build TARGET=x86_64-unknown-linux-musl
	$(MAKE) build TARGET=aarch64-unknown-linux-musl

.PHONY: reproduce
reproduce: build ## Build the last commit again in another folder; the file must be identical
	packaging/reproduce.sh $(EXECUTOR) build TARGET=$(TARGET)

.PHONY: run
run: build ## Run a job file without Mesos: make run JOB=path/to/job.json
	$(CARGO) run --quiet --locked --target $(TARGET) --package cook-local -- --executor $(EXECUTOR) $(if $(JOB),"$(JOB)")

.PHONY: scheduler
scheduler: target-$(TARGET) ## Build the scheduler: one static file
	$(CARGO) rustc --locked --profile scheduler --target $(TARGET) --package cook-scheduler --bin cook-scheduler -- \
		-Clink-arg=--Map=target/$(TARGET).scheduler.map
	install -D target/$(TARGET)/scheduler/cook-scheduler $(SCHEDULER)
	@ls -l $(SCHEDULER)

.PHONY: serve
serve: build scheduler ## Serve the Scheduler HTTP API with data below target/ (SERVE="--listen ...")
	$(SCHEDULER) --data target/serve $(SERVE)

.PHONY: test
test: target-$(TARGET) ## Run all tests that need no Mesos
	$(CARGO) build --locked --target $(TARGET) --package cook-executor
	install -D target/$(TARGET)/debug/cook-executor $(TESTED)
	COOK_TEST_EXECUTOR=$(abspath $(TESTED)) $(CARGO) test --locked --workspace --target $(TARGET)

.PHONY: test-clients
test-clients: build scheduler ## Run Cook's released clients against the scheduler (PyPI, python3 with venv)
	tests/scheduler/clients/run.sh $(SCHEDULER)

.PHONY: chaos-scheduler
chaos-scheduler: build scheduler ## Kill the scheduler and executors 60 times while 300 jobs run (CHAOS="--jobs 300 ...")
	tests/scheduler/chaos.py --scheduler $(SCHEDULER) $(CHAOS)

.PHONY: test-clock
test-clock: build scheduler ## Set the scheduler's wall clock, and not the host's, forward and back while jobs run (needs cc)
	tests/scheduler/clock/clock.py --scheduler $(SCHEDULER)

.PHONY: test-mesos
test-mesos: build scheduler ## Run the tests under a real Mesos 1.11.0, which this sets up (Debian, as root)
	tests/mesos/test.sh $(EXECUTOR) $(SCHEDULER)

.PHONY: soak-mesos
soak-mesos: build ## Run many tasks under a real Mesos while the agent is killed and restarted (SOAK="--tasks 1000 ...")
	tests/mesos/setup.sh
	tests/mesos/soak.py --executor $(EXECUTOR) $(SOAK)

.PHONY: soak-scheduler
soak-scheduler: build scheduler ## Kill a scheduler, its Mesos master and three agents 100 times while 1,000 jobs run (SOAK="--jobs 1000 ...")
	tests/mesos/setup.sh
	tests/mesos/soak_scheduler.py --executor $(EXECUTOR) --scheduler $(SCHEDULER) $(SOAK)

.PHONY: fuzz
fuzz: ## Run each fuzz target for a minute (needs a C++ compiler; FUZZ_SECONDS)
	tests/fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: torture
torture: target-$(TARGET) ## Attack the task API and run a thousand hostile tasks (TORTURE_RUNS, TORTURE_SEED, TORTURE_ONLY, GUESS_SECONDS)
	$(CARGO) test --locked --release --target $(TARGET) --test torture -- --ignored --nocapture --test-threads=1

.PHONY: lint
lint: target-$(TARGET) ## Check formatting and dependencies, and run clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --target $(TARGET) -- --deny warnings
	packaging/graph.sh $(TARGET)

.PHONY: doc
doc: target-$(TARGET) ## Build the documentation of the code; warnings are errors
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items --target $(TARGET)

.PHONY: deny
deny: ## Check licences, duplicate versions and advisories of all crates (installs cargo-deny below target)
	packaging/deny.sh

.PHONY: msrv
msrv: ## Check that each package builds with its rust-version (rustup installs that compiler)
	packaging/msrv.sh $(TARGET)

.PHONY: size
size: target-$(TARGET) ## Print the executor's size by crate and function, and check its budget
	packaging/size.sh $(TARGET) executor

.PHONY: size-scheduler
size-scheduler: scheduler ## The same for the scheduler
	packaging/size.sh $(TARGET) scheduler

.PHONY: footprint
footprint: build ## Measure the executor's memory, wake-ups and system calls, and check its budgets (needs strace)
	tests/bench/footprint.py --executor $(EXECUTOR)

.PHONY: bench
bench: build ## Measure the executor beside the Python executor, catatonit, tini, s6-supervise and OTHERS="name=command ..."
	tests/bench/bench.py --executor $(EXECUTOR) --others '$(OTHERS)' $(BENCH)

.PHONY: bench-scheduler
bench-scheduler: build scheduler ## Measure the scheduler beside Slurm, pueue and task-spooler, which this installs (BENCH="--quick ...")
	tests/bench/setup-peers.sh
	tests/bench/scheduler.py --scheduler $(SCHEDULER) $(BENCH)

.PHONY: bench-mesos
bench-mesos: build ## Measure the executors under a real Mesos
	tests/bench/bench.py --mesos --executor $(EXECUTOR) --others '$(OTHERS)' $(BENCH)

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf tests/mesos/build tests/mesos/run tests/bench/build tests/fuzz/target

# If the target is installed from packages of a distribution, rustup is not needed.
.PHONY: target-%
target-%:
	@rustc --print target-libdir --target $* | xargs test -d || rustup target add $*
