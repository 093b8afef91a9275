//! Shell texts that start processes which do not end: what jobs leave behind by accident or on purpose.
//!
//! Each is limited: it ends after ten minutes, and forks at most some thousand times.

/// A way to leave a process behind.
pub struct Stray {
    /// The word that it appends to `order` when it is running.
    pub name: &'static str,
    /// Starts it in the background.
    pub script: &'static str,
}

/// Starts a tree of processes with `$1` levels and six children each: 258 processes with three levels.
const TREE: &str = r"tree() {
    [ $1 = 0 ] && exec sleep 600
    for i in 1 2 3 4 5 6; do (tree $(($1 - 1))) & done
    wait
}";

/// A chain of processes: each forks the next one and ends.
const CHAIN: &str = r"hop() {
    [ $1 -gt 0 ] || exit
    (hop $(($1 - 1))) &
}";

/// The same, where each process is a program in its own session.
const HOPS: &str = r#"trap "" TERM
[ $HOPS -gt 0 ] || exit
HOPS=$((HOPS - 1)) setsid sh -c "$HOP" &"#;

/// All of them.
pub const STRAYS: [Stray; 13] = [
    Stray {
        name: "background",
        script: "sleep 600 & echo background >> order",
    },
    Stray {
        name: "session",
        script: "setsid sh -c 'echo session >> order; exec sleep 600' &",
    },
    Stray {
        name: "daemon",
        script: "(setsid sh -c '(echo daemon >> order; exec sleep 600) &' &)",
    },
    Stray {
        name: "deaf",
        script: "(trap '' TERM; echo deaf >> order; exec sleep 600) &",
    },
    Stray {
        name: "deaf-daemon",
        script: r#"(setsid sh -c 'trap "" TERM; (echo deaf-daemon >> order; exec sleep 600) &' &)"#,
    },
    Stray {
        name: "stopped",
        script: "setsid sh -c 'echo stopped >> order; kill -STOP $$; exec sleep 600' &",
    },
    Stray {
        name: "deaf-stopped",
        script: r#"setsid sh -c 'trap "" TERM; echo deaf-stopped >> order; kill -STOP $$; exec sleep 600' &"#,
    },
    Stray {
        name: "forks-at-term",
        script: r#"setsid sh -c 'trap "setsid sleep 600 & sleep 600 & exit" TERM; echo forks-at-term >> order
            while :; do sleep 0.05; done' &"#,
    },
    Stray {
        name: "breeder",
        script: r#"setsid sh -c 'trap "" TERM; echo breeder >> order
            n=0; until [ $n = 300 ]; do setsid sleep 600 & n=$((n + 1)); done; wait' &"#,
    },
    Stray {
        name: "tree",
        script: "(tree 3) & echo tree >> order",
    },
    Stray {
        name: "deaf-tree",
        script: "(trap '' TERM; tree 3) & echo deaf-tree >> order",
    },
    Stray {
        name: "chain",
        script: "(trap '' TERM; hop 4000) & echo chain >> order",
    },
    Stray {
        name: "session-chain",
        script: r#"HOPS=2000 setsid sh -c "$HOP" & echo session-chain >> order"#,
    },
];

/// Definitions that the scripts need before them.
pub fn prelude() -> String {
    format!("{TREE}\n{CHAIN}\nexport HOP='{HOPS}'\n")
}

/// A script that leaves strays behind, and continues when all are running.
pub fn leave(strays: &[&Stray]) -> String {
    let mut script = prelude();
    for stray in strays {
        script += stray.script;
        script += "\n";
    }
    for stray in strays {
        script += &super::wait_for_word(stray.name);
        script += "\n";
    }
    script
}
