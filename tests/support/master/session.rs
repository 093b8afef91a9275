//! The master's state, and its response to each call.
//!
//! It follows `Master::Http::scheduler` and `Master::receive` of Mesos 1.11.0. Everything that a real
//! master would refuse, drop or misunderstand is recorded as a violation. There are no threads and no
//! waiting here, and only the event stream is written to.

use prost::Message;

use crate::cluster::{Cluster, is_terminal};
use crate::events;
use crate::journal::{Called, Journal, What};
use crate::script::{Leader, Script, Splitting, Trouble};
use crate::validate::{self, Left, Refusal};
use cook_mesos::recordio;
use cook_mesos::scheduler::{
    Accept, Acknowledge, Call, CallType, Event, Kill, Reason, Reconcile, ReconcileTask, TaskInfo,
    TaskState, TaskStatus,
};
use cook_test_agent::connection::Connection;
use cook_test_agent::http::{self, Request};
use cook_test_agent::stream::EventStream;

/// The response of a real master to a framework whose failover timeout has passed, or that was torn down.
const REMOVED: &str = "Framework has been removed";

/// The state of the master.
#[derive(Debug)]
pub struct Session {
    /// Everything that has happened.
    pub journal: Journal,
    /// Faults to inject.
    pub script: Script,
    /// Agents, offers, tasks.
    pub cluster: Cluster,
    /// The interval of heartbeats in seconds, for SUBSCRIBED.
    pub heartbeat: f64,
    /// The framework that has subscribed last.
    framework: Option<String>,
    /// Frameworks that were removed for ever.
    removed: Vec<String>,
    /// The beginning of the ids of new frameworks, which is different for each master.
    name: String,
    frameworks: u64,
    stream: Option<(EventStream, String)>,
    generation: u64,
}

/// What to do with the connection of a request.
#[derive(Debug)]
pub enum Answer {
    /// Send this response, and read the next request.
    Reply(Vec<u8>),
    /// It carries the event stream of this generation now.
    Stream(u64),
    /// Reset it.
    Reset,
    /// Send these bytes, and close it.
    End(Vec<u8>),
    /// Send these bytes, and then nothing until the peer closes it.
    Silence(Vec<u8>),
    /// Handle the call again after one more release than this.
    Hold(u64),
}

// === impl Session ===

impl Session {
    pub(crate) fn new(name: String, heartbeat: f64) -> Self {
        Self {
            journal: Journal::new(),
            script: Script::default(),
            cluster: Cluster::default(),
            heartbeat,
            framework: None,
            removed: Vec::new(),
            name,
            frameworks: 0,
            stream: None,
            generation: 0,
        }
    }

    /// The id of the framework that has subscribed last.
    pub fn framework(&self) -> Option<&str> {
        self.framework.as_deref()
    }

    /// Whether an event stream is open, as far as this master knows.
    pub fn is_subscribed(&self) -> bool {
        self.stream.is_some()
    }

    /// Removes the framework: its failover timeout has passed, or it was torn down.
    pub fn remove_framework(&mut self) {
        self.removed.extend(self.framework.take());
        self.cluster.tasks.clear();
        self.cluster.forget_offers();
    }

    /// Responds to one request. If it `was_held`, its fault has already happened.
    pub fn answer(
        &mut self,
        request: &Request,
        connection: &Connection,
        number: u64,
        was_held: bool,
    ) -> Answer {
        if let Err(refusal) = validate::head(request) {
            return self.violated(CallType::Unknown, refusal);
        }
        let call = match Call::decode(request.body.as_slice()) {
            Ok(call) => call,
            Err(error) => {
                let text = format!("Failed to parse body into Call protobuf: {error}");
                return self.violated(CallType::Unknown, Refusal::new(400, text));
            }
        };
        let kind = call.kind();
        if !was_held {
            let header = |name| request.header(name).map(str::to_owned);
            self.journal.record(What::Called(Box::new(Called {
                connection: number,
                stream: header("mesos-stream-id"),
                authorization: header("authorization"),
                call: call.clone(),
            })));
        }
        let trouble = match was_held {
            true => None,
            false => self.script.next(kind),
        };
        match trouble {
            Some(Trouble::Refuse(status, text)) => {
                return self.refused(kind, Refusal::new(status, text));
            }
            Some(Trouble::Redirect(location)) => return self.redirect(kind, &location),
            Some(Trouble::Reset) => return Answer::Reset,
            Some(Trouble::Hold) => return Answer::Hold(self.script.releases),
            Some(Trouble::Swallow) => return Answer::Reply(http::reply(202, "")),
            Some(Trouble::Error(text)) => {
                let mut bytes = stream_head("refused");
                bytes.extend(record(&events::error(text)));
                bytes.extend(http::LAST_CHUNK);
                return Answer::End(bytes);
            }
            Some(Trouble::Bytes(bytes)) => {
                let mut all = stream_head("garbage");
                all.extend(http::chunk(&bytes));
                return Answer::Silence(all);
            }
            Some(Trouble::LoseReply | Trouble::Cut(_)) | None => (),
        }
        if let Err(answer) = self.admit(kind, request) {
            return answer;
        }
        if let Err(refusal) = validate::call(&call, request) {
            return self.violated(kind, refusal);
        }
        if kind == CallType::Subscribe {
            return self.subscribe(&call, connection, trouble);
        }
        if let Err(refusal) = self.check_stream(&call, request) {
            return self.refused(kind, refusal);
        }
        self.receive(call);
        let reply = http::reply(202, "");
        match trouble {
            Some(Trouble::LoseReply) => Answer::Reset,
            Some(Trouble::Cut(length)) => Answer::End(cut(reply, length)),
            _ => Answer::Reply(reply),
        }
    }

    /// Checks leadership and authentication.
    fn admit(&mut self, kind: CallType, request: &Request) -> Result<(), Answer> {
        match self.script.leader.clone() {
            Leader::Us => (),
            Leader::At(location) => return Err(self.redirect(kind, &location)),
            Leader::Nobody => {
                let refusal = Refusal::new(503, "No leader elected");
                return Err(self.refused(kind, refusal));
            }
        }
        if let Some((user, secret)) = &self.script.login {
            let wanted = format!("Basic {}", base64(format!("{user}:{secret}").as_bytes()));
            if request.header("authorization") != Some(&wanted) {
                let refusal = Refusal::new(401, "Could not authenticate");
                return Err(self.refused(kind, refusal));
            }
        }
        Ok(())
    }

    fn redirect(&mut self, kind: CallType, location: &str) -> Answer {
        self.journal
            .record(What::Refused(kind, 307, location.to_owned()));
        let head = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        Answer::Reply(head.into_bytes())
    }

    fn refused(&mut self, kind: CallType, refusal: Refusal) -> Answer {
        let Refusal { status, text } = refusal;
        let reply = http::reply(status, &text);
        self.journal.record(What::Refused(kind, status, text));
        Answer::Reply(reply)
    }

    fn violated(&mut self, kind: CallType, refusal: Refusal) -> Answer {
        let Refusal { status, text } = &refusal;
        self.violation(format!("{kind:?} is refused with {status}: {text}"));
        self.refused(kind, refusal)
    }

    /// Records a violation of the protocol.
    pub fn violation(&mut self, text: impl Into<String>) {
        self.journal.record(What::Violation(text.into()));
    }

    /// Checks that a call belongs to the open stream. A call that was sent before its stream ended is
    /// refused, which is not a violation.
    fn check_stream(&self, call: &Call, request: &Request) -> Result<(), Refusal> {
        let id = call.framework_id.as_ref().map(|id| id.value.as_str());
        if id != self.framework.as_deref() {
            return Err(Refusal::new(400, "Framework cannot be found"));
        }
        let Some((_, stream)) = &self.stream else {
            return Err(Refusal::new(403, "Framework is not subscribed"));
        };
        match request.header("mesos-stream-id") {
            Some(given) if given == stream => Ok(()),
            Some(given) => Err(Refusal::new(
                400,
                format!(
                    "The stream ID '{given}' included in this request didn't match the stream ID currently associated"
                ),
            )),
            None => Err(Refusal::new(
                400,
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            )),
        }
    }

    fn subscribe(
        &mut self,
        call: &Call,
        connection: &Connection,
        trouble: Option<Trouble>,
    ) -> Answer {
        let given = call.framework_id.as_ref().map(|id| id.value.clone());
        if given.as_ref().is_some_and(|id| self.removed.contains(id)) {
            let mut bytes = stream_head("removed");
            bytes.extend(record(&events::error(REMOVED)));
            bytes.extend(http::LAST_CHUNK);
            return Answer::End(bytes);
        }
        if let Some((former, _)) = self.stream.take() {
            let is_same = self.framework == given;
            // Another scheduler, or an earlier connection of the same one that this master still considers
            // open.
            if is_same {
                let taken = events::error("Framework failed over");
                let _ = former.send(&taken.encode_to_vec(), Splitting::Whole);
            }
            former.finish();
        }
        let framework = given.unwrap_or_else(|| {
            self.frameworks += 1;
            format!("{}-{:04}", self.name, self.frameworks)
        });
        self.framework = Some(framework.clone());
        self.cluster.forget_offers();
        self.generation += 1;
        let stream_id = format!("{}-stream-{}", self.name, self.generation);
        let subscribed = events::subscribed(&framework, self.heartbeat);
        let head = stream_head(&stream_id);
        match trouble {
            Some(Trouble::LoseReply) => return Answer::Reset,
            Some(Trouble::Cut(length)) => {
                let mut bytes = head;
                bytes.extend(record(&subscribed));
                return Answer::End(cut(bytes, length));
            }
            _ => (),
        }
        match EventStream::open_with(connection.clone(), &head, self.generation) {
            Ok(stream) => self.stream = Some((stream, stream_id)),
            Err(_) => return Answer::Reset,
        }
        self.send(&subscribed);
        for status in self.cluster.unacknowledged() {
            self.send(&events::update(status));
        }
        Answer::Stream(self.generation)
    }

    /// `Master::receive`.
    fn receive(&mut self, call: Call) {
        let framework = call.framework_id.unwrap_or_default().value;
        if let Some(accept) = call.accept {
            self.accept(&framework, accept);
        } else if let Some(decline) = call.decline {
            for offer in decline.offer_ids {
                if let Err(text) = self.cluster.take(&offer.value) {
                    self.violation(text);
                }
            }
        } else if let Some(acknowledge) = call.acknowledge {
            self.acknowledge(acknowledge);
        } else if let Some(kill) = call.kill {
            self.kill(kill);
        } else if let Some(reconcile) = call.reconcile {
            self.reconcile(&reconcile);
        } else if call.kind == Some(CallType::Teardown as i32) {
            self.violation("TEARDOWN: it ends every task");
        }
    }

    fn accept(&mut self, framework: &str, accept: Accept) {
        let mut offers = Vec::new();
        let mut is_void = false;
        for id in &accept.offer_ids {
            match self.cluster.take(&id.value) {
                Ok(Some(offer)) => offers.push(offer),
                Ok(None) => is_void = true,
                Err(text) => self.violation(text),
            }
        }
        let launches = accept.operations.into_iter().filter_map(|it| it.launch);
        let tasks: Vec<TaskInfo> = launches.flat_map(|launch| launch.task_infos).collect();
        let offer = match offers.as_slice() {
            [offer] if !is_void => offer,
            _ => {
                for task in tasks {
                    let (id, agent) = (&task.task_id.value, &task.agent_id.value);
                    let reason = Reason::InvalidOffers;
                    let dropped = TaskState::Dropped;
                    let status = events::masters_status(id, Some(agent), dropped, reason);
                    self.send(&events::update(status));
                }
                return;
            }
        };
        let mut left = Left::of(offer);
        for task in tasks {
            let (id, agent) = (task.task_id.value.clone(), task.agent_id.value.clone());
            let valid = match self.cluster.was_launched(&task) {
                true => Err("Task has duplicate ID".to_owned()),
                false => validate::task(&task, framework, offer, &mut left),
            };
            match valid {
                Ok(()) => self.cluster.launch(&task),
                Err(text) => {
                    self.violation(format!("{id}: {text}"));
                    let (state, reason) = (TaskState::Error, Reason::TaskInvalid);
                    let mut status = events::masters_status(&id, Some(&agent), state, reason);
                    status.message = Some(text.into_bytes());
                    self.send(&events::update(status));
                }
            }
        }
    }

    fn acknowledge(&mut self, acknowledge: Acknowledge) {
        let task = acknowledge.task_id.value;
        match self.cluster.acknowledge(&task, &acknowledge.uuid) {
            Ok(Some(next)) => self.send(&events::update(next)),
            Ok(None) => (),
            Err(text) => self.violation(text),
        }
    }

    /// If the task is running, its agent gets the kill, and the test decides what happens. For any other
    /// task, the master sends the status that it knows.
    fn kill(&mut self, kill: Kill) {
        let id = &kill.task_id.value;
        let is_there = |task: &crate::cluster::Task| !is_terminal(task.state);
        if !self.cluster.tasks.get(id).is_some_and(is_there) {
            let asked = ReconcileTask {
                task_id: kill.task_id,
                agent_id: kill.agent_id,
            };
            if let Some(status) = self.cluster.reconcile(&asked) {
                self.send(&events::update(status));
            }
        }
    }

    fn reconcile(&mut self, reconcile: &Reconcile) {
        let answers = match reconcile.tasks.as_slice() {
            [] => self.cluster.reconcile_all(),
            asked => asked
                .iter()
                .filter_map(|task| self.cluster.reconcile(task))
                .collect(),
        };
        for status in answers {
            self.send(&events::update(status));
        }
    }

    /// An agent has an update. It is sent now, unless an earlier update of that task is unacknowledged.
    pub fn update(&mut self, status: TaskStatus) {
        if let Some(status) = self.cluster.update(status) {
            self.send(&events::update(status));
        }
    }

    /// Sends an event. Without a stream it is lost, as in a real master.
    pub fn send(&mut self, event: &Event) {
        self.write(&events::describe(event), |stream, splitting| {
            stream.send(&event.encode_to_vec(), splitting)
        });
    }

    /// Writes to the stream, and records that.
    pub fn write(
        &mut self,
        name: &str,
        write: impl FnOnce(&EventStream, Splitting) -> std::io::Result<()>,
    ) {
        let splitting = self.script.splitting;
        let written = self
            .stream
            .as_ref()
            .is_some_and(|(stream, _)| write(stream, splitting).is_ok());
        self.journal.record(match written {
            true => What::Sent(name.to_owned()),
            false => What::Lost(name.to_owned()),
        });
    }

    /// Ends the stream in the given way, if there is one.
    pub fn end_stream(&mut self, end: impl FnOnce(EventStream)) {
        if let Some((stream, _)) = self.stream.take() {
            self.journal.record(What::StreamEnded(false));
            end(stream);
        }
    }

    /// The scheduler has ended the stream of this generation, unless it was replaced before.
    pub fn stream_ended(&mut self, generation: u64) {
        let current = self.stream.as_ref().map(|(stream, _)| stream.generation);
        if current == Some(generation) {
            self.stream = None;
            self.journal.record(What::StreamEnded(true));
        }
    }
}

fn stream_head(stream_id: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nMesos-Stream-Id: {stream_id}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}

fn record(event: &Event) -> Vec<u8> {
    http::chunk(&recordio::encode(&event.encode_to_vec()))
}

fn cut(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.truncate(length);
    bytes
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            match place <= group.len() {
                true => text.push(char::from(ALPHABET[index as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"cook:secret"), "Y29vazpzZWNyZXQ=");
    }
}
