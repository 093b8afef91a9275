//! Which user owns the other end of a connection on this host. The kernel knows the owner of every socket.
//!
//! Everybody on the host can connect to a port on loopback, and a connection does not say who made it. The
//! kernel can be asked which socket has the two addresses of the connection *now*. That is not enough: the
//! client whose bytes are in our receive buffer may have disconnected, and another client may have
//! connected from the same port. [`Owners::of_client`] closes this gap. It asks the kernel first, and then
//! checks, before anything is read, whether our own socket still has a peer. If it has, the socket that was
//! found is the client's.
//!
//! # Why this is a proof
//!
//! Let `A` be the accepted socket, `C` the client's socket whose handshake created `A`, and `S` the socket
//! that the look-up found. All of them have the same pair of addresses. The claim: if `S` is ESTABLISHED,
//! FIN_WAIT1 or FIN_WAIT2, and `A` has a peer *after* the look-up, then `S` is `C`.
//!
//! 1. A socket gets into one of these states by a handshake, in which a listener answers its SYN. (A
//!    simultaneous open would need a socket at our address that connects, and our listener alone has that
//!    address.)
//! 2. While `A` is in any state other than CLOSED, the kernel delivers segments with this pair of addresses
//!    to `A` and not to the listener, and `A` answers a SYN with a challenge ACK. So no second handshake
//!    can succeed while `A` exists.
//! 3. `A` never leaves CLOSED, and a CLOSED socket has no peer: getpeername(2) fails.
//! 4. Assume that `S` is not `C`. The handshake of `S` was not before that of `C`: `S` still has the pair of
//!    addresses at the look-up, and while it had them, `C` could not get them. So it was after that of `C`,
//!    and by 2 after `A` was CLOSED. It was before the look-up. So, by 3, `A` has no peer after the look-up,
//!    which contradicts the condition.
//!
//! Every order of events. `reset` means that the client resets its connection, and `again` that another
//! client connects from the same port:
//!
//! | order | result |
//! |---|---|
//! | accept, look-up, peer, reset, again | `C` was found, and the bytes read are from `C`: bytes of `again` go to another socket of ours |
//! | accept, look-up, reset, peer, ... | `A` has no peer: refused |
//! | accept, look-up, reset, again, peer | the same: `A` stays CLOSED, `again` created a new socket |
//! | accept, reset, look-up, peer | nothing is found: refused |
//! | accept, reset, again, look-up, peer | `again` is found, but `A` has no peer: refused |
//! | reset, accept, look-up, peer | `A` was CLOSED when it was accepted; nothing is found: refused |
//! | reset, again, accept, look-up, peer | `again` is found, but `A` has no peer: refused (an attacker who guessed the port) |
//! | reset still under way, again, accept, look-up, peer | the reset is queued and `A` exists, so the handshake of `again` cannot end (2): its socket is SYN_SENT, which is not one of the three states; refused |
//! | half-close, accept, look-up, peer | `C` is FIN_WAIT1 or FIN_WAIT2 and still has an owner: served |
//! | close, accept, look-up, peer | `C` has no inode, so no owner; the kernel reports it as user 0; refused |
//! | close, TIME_WAIT, again, ... | `A` is in CLOSE_WAIT, which is not CLOSED: as in the row with the queued reset |
//!
//! The owner of a socket may pass its descriptor to another process. That is not prevented: the owner could
//! also forward requests.
//!
//! # Users that cannot be distinguished
//!
//! In a user namespace, all users that it does not map look like the overflow user (user_namespaces(7)). So
//! a user without a mapping, and the overflow user itself, do not identify anybody: see [`Users::is_one`].

mod diag;
mod users;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::net::getpeername;

use self::diag::{Diag, Found, State};
pub use self::users::Users;

/// Finds out the owners of sockets.
#[derive(Debug)]
pub struct Owners {
    diag: Diag,
    users: Users,
}

/// Why the owner of a connection is not known.
#[derive(Debug)]
pub enum Unknown {
    /// The client has disconnected, or no process holds its socket any more.
    Gone,
    /// The connection belongs to a user id that stands for several users.
    Ambiguous(u32),
    /// The kernel did not answer.
    Kernel(io::Error),
}

// === impl Owners ===

impl Owners {
    /// Opens a socket to the kernel.
    ///
    /// # Errors
    ///
    /// Netlink sockets are not available (a seccomp filter, or a kernel without them), or /proc is not.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            diag: Diag::open()?,
            users: Users::read()?,
        })
    }

    /// Which users can be distinguished.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// The user who owns the client's end of a connection. The connection was just accepted as `accepted`,
    /// and nothing was read from it. The documentation of this module explains why the result is right.
    ///
    /// # Errors
    /// The owner is not known, and the connection must not be served.
    /// It is not known, and the connection must not be served.
    pub fn of_client(
        &self,
        client: SocketAddr,
        server: SocketAddr,
        accepted: BorrowedFd<'_>,
    ) -> Result<u32, Unknown> {
        let found = self.diag.find(client, Some(server));
        // Must come after the look-up: the proof depends on this order.
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

    /// The user who serves a connection that was made from `ours` to `server` as `connected`, and to which
    /// nothing was written yet. `None` if the server is not in this network namespace.
    ///
    /// The kernel reports user 0 for a connection that was not accepted yet; such a connection belongs to
    /// the owner of the listener. So both are looked up, the listener first. If the look-up of the
    /// connection then says that it was accepted, its owner is known. If it was not, it is in the queue of
    /// a listener that existed when the connection was made and still exists, and therefore also existed at
    /// the first look-up. Two users cannot listen at one address at the same time, so that listener is the
    /// one that was found.
    ///
    /// # Errors
    ///
    /// The owner is not known.
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
            // If there is no such connection, the look-up finds the listener of this port instead.
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
    /// there is no such socket in this network namespace.
    ///
    /// # Errors
    ///
    /// The owner is not known.
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
            Self::Gone => f.write_str("the client disconnected before its user was known"),
            Self::Ambiguous(user) => write!(
                f,
                "uid {user} stands for all users without a mapping in this user namespace"
            ),
            Self::Kernel(error) => {
                write!(
                    f,
                    "the kernel does not report the owner of the connection: {error}"
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
        let owners = Owners::open().expect("a netlink socket");
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

        /// Connects from the port of the previous client.
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
    fn a_connected_client_has_an_owner_even_after_a_half_close() {
        let (pair, stream) = pair();
        assert_eq!(pair.owner().ok(), Some(me()));
        stream.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(pair.owner().ok(), Some(me()));
    }

    #[test]
    fn a_client_that_has_closed_or_reset_has_no_owner() {
        let (closed, stream) = pair();
        drop(stream);
        assert!(matches!(closed.owner(), Err(Unknown::Gone)));
        let (reset_pair, stream) = pair();
        reset(stream);
        assert!(matches!(reset_pair.owner(), Err(Unknown::Gone)));
    }

    #[test]
    fn a_client_on_the_port_of_one_that_has_reset_is_not_confused_with_it() {
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
    fn a_server_has_an_owner_before_and_after_it_accepts() {
        let owners = Owners::open().expect("a netlink socket");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(server).expect("listening");
        let ours = stream.local_addr().expect("connected");
        let owner = || owners.of_server(server, ours, stream.as_fd());
        assert_eq!(owner().ok(), Some(Some(me())));
        let (accepted, _) = listener.accept().expect("a connection");
        assert_eq!(owner().ok(), Some(Some(me())));
        // The accepted connection keeps its owner without the listener.
        drop(listener);
        assert_eq!(owner().ok(), Some(Some(me())));
        drop(accepted);
        assert!(matches!(owner(), Err(Unknown::Gone)), "no process holds it");
    }

    #[test]
    fn a_local_listener_is_not_confused_with_a_server_on_another_host() {
        let (pair, stream) = pair();
        // As for a server on another host: its socket is not found here.
        let other = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = other.local_addr().expect("bound").port();
        let server = ([192, 0, 2, 1], port).into();
        let owner = pair.owners.of_server(server, pair.client, stream.as_fd());
        assert_eq!(owner.ok(), Some(None));
    }

    #[test]
    fn a_listener_is_not_confused_with_a_client() {
        let (pair, stream) = pair();
        reset(stream);
        // If there is no such connection, the look-up finds the listener of its port.
        let other = TcpListener::bind(pair.client).expect("it is free");
        assert!(matches!(pair.owner(), Err(Unknown::Gone)));
        let at = other.local_addr().expect("bound");
        assert_eq!(pair.owners.of_listener(at).ok(), Some(Some(me())));
    }

    #[test]
    fn a_listener_has_an_owner_and_an_unused_port_has_none() {
        let owners = Owners::open().expect("a netlink socket");
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
