//! Whose the other end of a connection on this host is: the kernel knows the user of every socket.
//!
//! A port on loopback is open to everybody on the host, and a connection does not say who has made it. What
//! can be asked is which socket has the two addresses of the connection *now*. That is not the question: the
//! client that has sent what lies in our buffer may have gone meanwhile, and somebody else may have connected
//! from the same port. [`Owners::of_client`] closes this gap. It asks the kernel first, and then, before
//! anything is read, whether our own socket still has a peer. If it has, the socket that was found is the
//! client's.
//!
//! # Why this is a proof
//!
//! Let `A` be the socket that was accepted, `C` the client's socket whose handshake has made `A`, and `S` the
//! socket that the look-up has found. All of them carry the same pair of addresses. The claim is: if `S` is
//! in one of the states ESTABLISHED, FIN_WAIT1 or FIN_WAIT2, and `A` has a peer *after* the look-up, then `S`
//! is `C`.
//!
//! 1. A socket gets into one of these states by a handshake: a listener answers its SYN. (A simultaneous open
//!    needs a socket at our address that connects, and our listener holds that address alone.)
//! 2. While `A` is in any other state than CLOSED, the kernel delivers a segment with this pair of addresses
//!    to `A` and not to the listener; `A` answers a SYN with a challenge ACK. So no second handshake can
//!    succeed while `A` lives.
//! 3. `A` never comes back from CLOSED, and a CLOSED socket has no peer: getpeername(2) fails.
//! 4. So if `S` were another socket than `C`, its handshake would have ended after `A` was CLOSED, and before
//!    the look-up that has found `S`. After the look-up `A` would have no peer.
//!
//! Each order in which things can happen, with `reset` as what a client does to get away, and `again` as
//! another client that connects from the same port:
//!
//! | order | what is seen |
//! |---|---|
//! | accept, look-up, peer, reset, again | `C` was found, and what is read is `C`'s: bytes of `again` go to another socket of ours |
//! | accept, look-up, reset, peer, ... | `A` has no peer: refused |
//! | accept, look-up, reset, again, peer | the same: `A` stays CLOSED, `again` made a new socket |
//! | accept, reset, look-up, peer | nothing is found: refused |
//! | accept, reset, again, look-up, peer | `again` is found; `A` has no peer: refused |
//! | reset, accept, look-up, peer | as two above: `A` was CLOSED when it was accepted |
//! | reset, again, accept, look-up, peer | `again` is found; `A` has no peer: refused (the guessed port) |
//! | reset on its way, again, accept, look-up, peer | the reset is queued, `A` lives, so the handshake of `again` cannot end (2): it is SYN_SENT, no state of a client; refused |
//! | half-close, accept, look-up, peer | `C` is FIN_WAIT1 or FIN_WAIT2 and still somebody's: served |
//! | close, accept, look-up, peer | `C` has no inode: nobody's, which the kernel shows as user 0; refused |
//! | close, TIME_WAIT, again, ... | `A` is in CLOSE_WAIT, that is not CLOSED: as in the row of the queued reset |
//!
//! What a descriptor's owner does with it later (pass it on, fork) is its own affair: who can connect can lend.
//!
//! # Users that cannot be told apart
//!
//! In a user namespace, all users that it does not map look like the overflow user (user_namespaces(7)). So a
//! user without a mapping, and the overflow user, are nobody in particular: [`Users::is_one`].

mod diag;
mod users;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::net::getpeername;

use self::diag::{Diag, Found, State};
pub use self::users::Users;

/// Asks the kernel for the owners of sockets.
#[derive(Debug)]
pub struct Owners {
    diag: Diag,
    users: Users,
}

/// Why it is not known whose a connection is.
#[derive(Debug)]
pub enum Unknown {
    /// The client has hung up, or nobody holds its socket any more.
    Gone,
    /// It belongs to a user who stands for others as well.
    Ambiguous(u32),
    /// The kernel does not say.
    Kernel(io::Error),
}

// === impl Owners ===

impl Owners {
    /// Opens the way to the kernel.
    ///
    /// # Errors
    ///
    /// There are no netlink sockets (a seccomp filter, or a kernel without them), or no /proc.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            diag: Diag::open()?,
            users: Users::read()?,
        })
    }

    /// Which users can be told apart.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// The user who owns the client's end of a connection that was just accepted as `accepted`, from which
    /// nothing was read. The module's text is why the answer is true.
    ///
    /// # Errors
    ///
    /// It is not known, and the connection must not be served.
    pub fn of_client(
        &self,
        client: SocketAddr,
        server: SocketAddr,
        accepted: BorrowedFd<'_>,
    ) -> Result<u32, Unknown> {
        let found = self.diag.find(client, Some(server));
        // After the look-up: this order is the proof.
        let has_peer = getpeername(accepted).is_ok();
        let found = found.map_err(Unknown::Kernel)?;
        match found {
            Some(Found {
                state: State::Established | State::FinWait1 | State::FinWait2,
                user: Some(user),
            }) if has_peer => match self.users.is_one(user) {
                true => Ok(user),
                false => Err(Unknown::Ambiguous(user)),
            },
            Some(_) | None => Err(Unknown::Gone),
        }
    }

    /// The user who serves a connection that was made from here, at `ours`, to `server` as `connected`, and to
    /// which nothing was written yet; `None` if that is not in this network namespace.
    ///
    /// A connection that was not accepted yet is nobody's, which the kernel shows as user 0: it is that of
    /// who listens. So both are looked up, the listener first. If the other end is found to be accepted after
    /// that, its owner is known. If it is not, it waits in the queue of a listener that was there when the
    /// connection was made and is there still, and so was there at the first look-up; and since no two users
    /// can listen at one address at once, it is the one that was found.
    ///
    /// # Errors
    ///
    /// It is not known.
    pub fn of_server(
        &self,
        server: SocketAddr,
        ours: SocketAddr,
        connected: BorrowedFd<'_>,
    ) -> Result<Option<u32>, Unknown> {
        let listener = self.diag.find(server, None).map_err(Unknown::Kernel)?;
        let other_end = self
            .diag
            .find(server, Some(ours))
            .map_err(Unknown::Kernel)?;
        if getpeername(connected).is_err() {
            return Err(Unknown::Gone);
        }
        let user = match (other_end, listener) {
            // The look-up of a connection falls back on who listens, here or anywhere.
            (
                None
                | Some(Found {
                    state: State::Listen,
                    ..
                }),
                _,
            ) => return Ok(None),
            (
                Some(Found {
                    user: Some(user), ..
                }),
                _,
            )
            | (
                Some(Found { user: None, .. }),
                Some(Found {
                    state: State::Listen,
                    user: Some(user),
                }),
            ) => user,
            (Some(Found { user: None, .. }), _) => return Err(Unknown::Gone),
        };
        match self.users.is_one(user) {
            true => Ok(Some(user)),
            false => Err(Unknown::Ambiguous(user)),
        }
    }

    /// The user who owns the socket that listens at `address`, or at all addresses with its port; `None` if
    /// nobody in this network namespace does.
    ///
    /// # Errors
    ///
    /// It is not known.
    pub fn of_listener(&self, address: SocketAddr) -> Result<Option<u32>, Unknown> {
        match self.diag.find(address, None).map_err(Unknown::Kernel)? {
            Some(Found {
                state: State::Listen,
                user: Some(user),
            }) if self.users.is_one(user) => Ok(Some(user)),
            Some(Found {
                state: State::Listen,
                user: Some(user),
            }) => Err(Unknown::Ambiguous(user)),
            Some(_) | None => Ok(None),
        }
    }
}

// === impl Unknown ===

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the client hung up before its user was known"),
            Self::Ambiguous(user) => write!(
                f,
                "uid {user} stands for all users without a mapping in this user namespace"
            ),
            Self::Kernel(error) => {
                write!(
                    f,
                    "the kernel does not say whose the connection is: {error}"
                )
            }
        }
    }
}

impl std::error::Error for Unknown {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use rustix::net::sockopt::set_socket_linger;
    use rustix::process::geteuid;

    struct Pair {
        owners: Owners,
        listener: TcpListener,
        accepted: TcpStream,
        client: SocketAddr,
        server: SocketAddr,
    }

    fn pair() -> (Pair, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("bound");
        // An address that no other test connects from.
        let stream = connect_from(([127, 9, 9, 9], 0).into(), server);
        let (accepted, client) = listener.accept().expect("a connection");
        let owners = Owners::open().expect("the kernel answers");
        let pair = Pair {
            owners,
            listener,
            accepted,
            client,
            server,
        };
        (pair, stream)
    }

    impl Pair {
        fn owner(&self) -> Result<u32, Unknown> {
            self.owners
                .of_client(self.client, self.server, self.accepted.as_fd())
        }

        /// Connects from the port of the client that was here before.
        fn again(&self) -> TcpStream {
            connect_from(self.client, self.server)
        }
    }

    fn connect_from(client: SocketAddr, server: SocketAddr) -> TcpStream {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("a socket");
        bind(&socket, &client).expect("it is free");
        connect(&socket, &server).expect("listening");
        socket.into()
    }

    fn reset(stream: TcpStream) {
        set_socket_linger(&stream, Some(Duration::ZERO)).expect("a TCP socket");
    }

    fn me() -> u32 {
        geteuid().as_raw()
    }

    #[test]
    fn a_client_that_is_there_has_its_user_also_when_it_has_ended_its_side() {
        let (pair, stream) = pair();
        assert_eq!(pair.owner().ok(), Some(me()));
        stream.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(pair.owner().ok(), Some(me()));
    }

    #[test]
    fn a_client_that_has_closed_or_reset_is_gone() {
        let (closed, stream) = pair();
        drop(stream);
        assert!(matches!(closed.owner(), Err(Unknown::Gone)));
        let (reset_pair, stream) = pair();
        reset(stream);
        assert!(matches!(reset_pair.owner(), Err(Unknown::Gone)));
    }

    #[test]
    fn a_client_that_comes_from_the_port_of_one_that_has_reset_is_not_taken_for_it() {
        let (pair, stream) = pair();
        reset(stream);
        let _again = pair.again();
        assert!(matches!(pair.owner(), Err(Unknown::Gone)));
        let (second, _) = pair.listener.accept().expect("a connection");
        let known = pair
            .owners
            .of_client(pair.client, pair.server, second.as_fd());
        assert_eq!(known.ok(), Some(me()));
    }

    #[test]
    fn a_server_has_its_user_before_and_after_it_has_accepted() {
        let owners = Owners::open().expect("the kernel answers");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(server).expect("listening");
        let ours = stream.local_addr().expect("connected");
        let owner = || owners.of_server(server, ours, stream.as_fd());
        assert_eq!(owner().ok(), Some(Some(me())));
        let (accepted, _) = listener.accept().expect("a connection");
        assert_eq!(owner().ok(), Some(Some(me())));
        // It serves the connection still, whoever listens there now.
        drop(listener);
        assert_eq!(owner().ok(), Some(Some(me())));
        drop(accepted);
        assert!(matches!(owner(), Err(Unknown::Gone)), "nobody holds it");
    }

    #[test]
    fn who_listens_at_the_port_of_another_host_serves_nothing() {
        let (pair, stream) = pair();
        // As from here to a server elsewhere: the other end is not found.
        let other = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = other.local_addr().expect("bound").port();
        let server = ([192, 0, 2, 1], port).into();
        let owner = pair.owners.of_server(server, pair.client, stream.as_fd());
        assert_eq!(owner.ok(), Some(None));
    }

    #[test]
    fn a_listener_is_not_taken_for_a_client() {
        let (pair, stream) = pair();
        reset(stream);
        // The look-up of a connection that is not there falls back on who listens at its port.
        let other = TcpListener::bind(pair.client).expect("it is free");
        assert!(matches!(pair.owner(), Err(Unknown::Gone)));
        let at = other.local_addr().expect("bound");
        assert_eq!(pair.owners.of_listener(at).ok(), Some(Some(me())));
    }

    #[test]
    fn a_listener_has_its_user_and_a_port_without_one_has_none() {
        let owners = Owners::open().expect("the kernel answers");
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let listener = match TcpListener::bind(address) {
                Ok(listener) => listener,
                // A machine without IPv6.
                Err(_) => continue,
            };
            let mut at = listener.local_addr().expect("bound");
            if at.ip().is_unspecified() {
                at.set_ip([127, 0, 0, 1].into());
            }
            assert_eq!(owners.of_listener(at).ok(), Some(Some(me())), "{address}");
            drop(listener);
            assert_eq!(owners.of_listener(at).ok(), Some(None), "{address}");
        }
    }
}
