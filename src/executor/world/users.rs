//! Users by name.

use rustix::process::geteuid;

use super::process::proc;

/// Whether this process runs as the user of this name. `None` if the user is not in `/etc/passwd`: a directory service
/// may know the name.
pub fn is_own(name: &[u8]) -> Option<bool> {
    let passwd = proc::read("/etc/passwd").ok()?;
    Some(uid_in(&passwd, name)? == geteuid().as_raw())
}

/// The user's id in a text of the form of `/etc/passwd`: `name:password:uid:...`.
fn uid_in(passwd: &[u8], name: &[u8]) -> Option<u32> {
    let mut lines = passwd.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let is_it = fields.next() == Some(name);
        let uid = fields.nth(1).filter(|_| is_it)?;
        std::str::from_utf8(uid).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\n#a\nrooty:x:7:7::/:\nbad:x\nworse:x:-1:\nlast:x:4294967295";
        for (name, uid) in [
            ("root", Some(0)),
            ("rooty", Some(7)),
            ("last", Some(u32::MAX)),
            ("roo", None),
            ("x", None),
            ("bad", None),
            ("worse", None),
        ] {
            assert_eq!(uid_in(passwd, name.as_bytes()), uid, "{name}");
        }
    }
}
