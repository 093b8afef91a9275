//! A thread for what may wait for a disk: the one that serves never does.

use std::io;
use std::sync::mpsc;
use std::thread;

use smol::channel::{Receiver, bounded};

/// What is to be done there.
type Errand = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other.
#[derive(Clone, Debug)]
pub struct Aside(mpsc::Sender<Errand>);

impl Aside {
    /// Starts it. It ends with the last handle.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub fn start(name: &str) -> io::Result<Self> {
        let (errands, inbox) = mpsc::channel::<Errand>();
        let work = move || inbox.into_iter().for_each(|errand| errand());
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self(errands))
    }

    /// Has something done; its result comes through the channel, which is empty until then.
    pub fn begin<T: Send + 'static>(
        &self,
        errand: impl FnOnce() -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, receiver) = bounded(1);
        // Whoever asked may have gone meanwhile.
        let errand = move || drop(sender.try_send(errand()));
        // The thread is there for as long as this handle.
        let _ = self.0.send(Box::new(errand));
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_done_one_after_the_other() {
        let aside = Aside::start("test").expect("a thread");
        let (first, second) = (aside.begin(|| 1), aside.begin(|| 2));
        assert_eq!(smol::block_on(second.recv()), Ok(2));
        assert_eq!(first.try_recv(), Ok(1));
        drop(aside.begin(|| 3));
        assert_eq!(smol::block_on(aside.begin(|| 4).recv()), Ok(4));
    }
}
