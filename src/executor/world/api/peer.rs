//! Who is on the other end of a connection: the kernel knows the user of every socket on this host.
//!
//! The port is open to everybody here, and setting an environment variable is running code as the
//! task's user. So only that user and root get in; and where the kernel does not tell, nobody does.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::process::geteuid;

/// Why a connection is not served.
#[derive(Debug)]
pub enum Unwelcome {
    /// It belongs to this user, who is neither the task's nor root.
    Stranger(u32),
    /// Its user cannot be found out.
    Unknown(io::Error),
}

// === impl Unwelcome ===

impl std::fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stranger(user) => write!(f, "admit the user with the id {user}"),
            Self::Unknown(error) => write!(
                f,
                "find out the user of a connection ({error}): allow NETLINK_SOCK_DIAG sockets, or \
                 mount /proc"
            ),
        }
    }
}

impl std::error::Error for Unwelcome {}

/// Whether the client at `peer`, connected to our port `port` on loopback, may use the task API.
///
/// # Errors
///
/// Says who it is, or why that is not known.
pub fn admit(peer: SocketAddr, port: u16) -> Result<(), Unwelcome> {
    let SocketAddr::V4(peer) = peer else {
        return Err(Unwelcome::Unknown(io::ErrorKind::Unsupported.into()));
    };
    let ours = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let user = ask_kernel(peer, ours).or_else(|_| search_table(peer, ours));
    match user.map_err(Unwelcome::Unknown)? {
        user if user == 0 || user == geteuid().as_raw() => Ok(()),
        user => Err(Unwelcome::Stranger(user)),
    }
}

/// `SOCK_DIAG_BY_FAMILY` and its flag (sock_diag(7)).
const BY_FAMILY: u16 = 20;
const REQUEST_FLAG: u16 = 1;
const FAMILY_INET: u8 = 2;
const PROTOCOL_TCP: u8 = 6;

/// The request: a netlink header of 16 bytes and `struct inet_diag_req_v2` of 56.
const REQUEST_SIZE: usize = 16 + 56;

/// Where the answer has what we want: behind its header, `struct inet_diag_msg` has the ids of the
/// socket from 4 on, the user at 64 and the inode at 68.
const ANSWER_IDS: usize = 16 + 4;
const ANSWER_USER: usize = 16 + 64;
const ANSWER_INODE: usize = 16 + 68;

/// Asks for the one socket that is connected from `peer` to `ours`.
fn ask_kernel(peer: SocketAddrV4, ours: SocketAddrV4) -> io::Result<u32> {
    let request = diag_request(peer, ours);
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0; 512];
    // The kernel has answered before send returned.
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    user_in_answer(&answer[..length], &request)
}

fn diag_request(peer: SocketAddrV4, ours: SocketAddrV4) -> [u8; REQUEST_SIZE] {
    let mut request = [0; REQUEST_SIZE];
    let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(REQUEST_SIZE as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST_FLAG.to_ne_bytes());
    put(16, &[FAMILY_INET, PROTOCOL_TCP]);
    // Any state.
    put(20, &u32::MAX.to_ne_bytes());
    put(24, &peer.port().to_be_bytes());
    put(26, &ours.port().to_be_bytes());
    put(28, &peer.ip().octets());
    put(44, &ours.ip().octets());
    // No cookie: two words of ones.
    put(64, &[0xff; 8]);
    request
}

/// The user of the socket in an answer.
///
/// A socket that its process has closed belongs to user 0 by name, without being root's: only one that
/// still has an inode has a user.
fn user_in_answer(answer: &[u8], request: &[u8; REQUEST_SIZE]) -> io::Result<u32> {
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let kind = answer.get(4..6);
    let is_about_it = answer.get(ANSWER_IDS..ANSWER_IDS + 4) == Some(&request[24..28]);
    let (Some(user), Some(inode)) = (word(ANSWER_USER), word(ANSWER_INODE)) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    if kind != Some(&BY_FAMILY.to_ne_bytes()) || !is_about_it || inode == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(user)
}

/// The same from `/proc/net/tcp`, for sandboxes without netlink. It has a line for every socket of the
/// network namespace, so it comes second.
fn search_table(peer: SocketAddrV4, ours: SocketAddrV4) -> io::Result<u32> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    user_in_table(&table, peer, ours).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// `sl local_address rem_address st queues timer retransmits uid timeout inode ...`, where an address
/// is the hexadecimal number of its bytes as they are in memory.
fn user_in_table(table: &str, peer: SocketAddrV4, ours: SocketAddrV4) -> Option<u32> {
    let name = |address: SocketAddrV4| {
        let ip = u32::from_ne_bytes(address.ip().octets());
        format!("{ip:08X}:{:04X}", address.port())
    };
    let (local, remote) = (name(peer), name(ours));
    table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_it = words.next()? == local && words.next()? == remote;
        let user = words.nth(4)?.parse().ok()?;
        let inode: u64 = words.nth(1)?.parse().ok()?;
        (is_it && inode != 0).then_some(user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn connected() -> ((TcpListener, TcpStream), SocketAddrV4, SocketAddrV4) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let SocketAddr::V4(ours) = listener.local_addr().expect("bound") else {
            panic!("not IPv4");
        };
        let stream = TcpStream::connect(ours).expect("listening");
        let SocketAddr::V4(peer) = stream.local_addr().expect("connected") else {
            panic!("not IPv4");
        };
        ((listener, stream), peer, ours)
    }

    #[test]
    fn both_ways_of_asking_know_our_own_connection() {
        let (_sockets, peer, ours) = connected();
        let me = geteuid().as_raw();
        assert_eq!(ask_kernel(peer, ours).ok(), Some(me));
        assert_eq!(search_table(peer, ours).ok(), Some(me));
        assert!(admit(SocketAddr::V4(peer), ours.port()).is_ok());
    }

    #[test]
    fn a_connection_that_does_not_exist_has_no_user() {
        let (sockets, peer, ours) = connected();
        let other = SocketAddrV4::new(*peer.ip(), peer.port() ^ 1);
        assert!(ask_kernel(other, ours).is_err());
        assert!(search_table(other, ours).is_err());
        drop(sockets);
        assert!(
            admit(SocketAddr::V4(peer), ours.port()).is_err(),
            "it is closed"
        );
    }

    #[test]
    fn a_socket_without_an_inode_is_nobodys() {
        let (peer, ours) = (
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0x1234),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0x50),
        );
        let line = |user, inode| {
            format!(
                "   1: 0100007F:1234 0100007F:0050 01 00000000:00000000 00:00000000 00000000 {user} 0 {inode} 1 0 20 4 30 10 -1"
            )
        };
        assert_eq!(user_in_table(&line(7, 99), peer, ours), Some(7));
        assert_eq!(user_in_table(&line(0, 0), peer, ours), None);

        let request = diag_request(peer, ours);
        let mut answer = [0; 16 + 72];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[ANSWER_IDS..ANSWER_IDS + 4].copy_from_slice(&request[24..28]);
        assert!(user_in_answer(&answer, &request).is_err());
        answer[ANSWER_INODE] = 1;
        assert_eq!(user_in_answer(&answer, &request).ok(), Some(0));
        answer[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert!(
            user_in_answer(&answer, &request).is_err(),
            "an error is no answer"
        );
        assert!(user_in_answer(&answer[..40], &request).is_err());
    }
}
