//! A thread for work that may wait for the disk. The thread that serves the API must never wait.

use std::io;
use std::sync::mpsc;
use std::thread;

use smol::channel::{Receiver, bounded};

/// The work to do.
type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one piece of work after the other.
#[derive(Clone, Debug)]
pub struct Worker(mpsc::Sender<Work>);

impl Worker {
    /// Starts the thread. It ends when its last handle is dropped.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(name: &str) -> io::Result<Self> {
        let (queue, inbox) = mpsc::channel::<Work>();
        let work = move || inbox.into_iter().for_each(|work| work());
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self(queue))
    }

    /// Adds a piece of work. Its result arrives in the channel.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, receiver) = bounded(1);
        // The receiver may have been dropped meanwhile.
        let work = move || drop(sender.try_send(work()));
        // The thread lives as long as this handle.
        let _ = self.0.send(Box::new(work));
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_in_order() {
        let worker = Worker::start("test").expect("a thread");
        let (first, second) = (worker.begin(|| 1), worker.begin(|| 2));
        assert_eq!(smol::block_on(second.recv()), Ok(2));
        assert_eq!(first.try_recv(), Ok(1));
        drop(worker.begin(|| 3));
        assert_eq!(smol::block_on(worker.begin(|| 4).recv()), Ok(4));
    }
}
