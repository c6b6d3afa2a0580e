//! The package for Debian: what is in it, its units, and that they start servers that work.

use crate::first_hour::Machine;
use cluster::repository;
use std::fs;
use std::path::Path;
use std::process::Command;

const UNITS: [&str; 2] = ["rocketmq-namesrv.service", "rocketmq-broker@.service"];

fn made(machine: &Machine) {
    let made = Command::new(repository().join("release"))
        .arg("--deb")
        .args([machine.path("local/rocketmq"), machine.path("local/rocketmq.deb")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn dpkg_deb(args: &[&Path]) -> String {
    let output = Command::new("dpkg-deb").args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_package_has_programs_settings_and_units() {
    let machine = Machine::new();
    made(&machine);
    let deb = machine.path("local/rocketmq.deb");
    let files = dpkg_deb(&["-c".as_ref(), &deb]);
    for file in [
        "./usr/lib/rocketmq/lib/broker",
        "./usr/lib/rocketmq/lib/namesrv",
        "./usr/lib/rocketmq/lib/mqadmin",
        "./usr/bin/mqshutdown -> ../lib/rocketmq/bin/mqshutdown",
        "./etc/rocketmq/broker.properties",
        "./etc/rocketmq/namesrv.properties",
        "./usr/lib/sysusers.d/rocketmq.conf",
    ] {
        assert!(files.lines().any(|line| line.ends_with(file)), "{file}: {files}");
    }
    for line in files.lines() {
        assert!(line.contains(" root/root "), "{line}");
        // Nobody but its owner changes a file.
        assert!(line.starts_with('l') || !line[5..10].contains('w'), "{line}");
    }
    let root = machine.path("control");
    dpkg_deb(&["-e".as_ref(), &deb, &root]);
    let conffiles = fs::read_to_string(root.join("conffiles")).unwrap();
    assert_eq!(
        conffiles,
        "/etc/rocketmq/namesrv.properties\n/etc/rocketmq/broker.properties\n"
    );
    for script in ["postinst", "prerm", "postrm"] {
        let parsed = Command::new("sh")
            .arg("-n")
            .arg(root.join(script))
            .status()
            .unwrap();
        assert!(parsed.success(), "{script}");
    }
}

#[test]
fn its_units_make_sense_to_systemd() {
    let machine = Machine::new();
    made(&machine);
    let root = machine.path("root/unpacked");
    dpkg_deb(&["-x".as_ref(), &machine.path("local/rocketmq.deb"), &root]);
    for unit in UNITS {
        let file = root.join("usr/lib/systemd/system").join(unit);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("\nExecStart=/bin/sh /usr/lib/rocketmq/bin/mq"),
            "{text}"
        );
        // It looks for the programs.
        let below = format!(" {}/usr/lib/rocketmq/", root.display());
        fs::write(&file, text.replace(" /usr/lib/rocketmq/", &below)).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        // What is odd about other units of the machine is not ours.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("rocketmq")).collect();
        assert!(verified.status.success() && ours.is_empty(), "{unit}: {said}");
    }
}

/// The commands of the units, on a machine whose folders are below another one.
#[test]
fn its_units_start_servers_that_take_and_give_messages() {
    let machine = Machine::new();
    made(&machine);
    let ran = machine.run(
        r#"
        root=/usr/local/unpacked
        dpkg-deb -x /usr/local/rocketmq.deb $root
        below() { sed "s#/usr/lib/#$root/usr/lib/#g; s#/etc/#$root/etc/#g; s#/var/#$root/var/#g; s#%i#$2#g" "$root/usr/lib/systemd/system/$1"; }
        start() {
            below "$1" "$2" >unit
            (
                export $(sed -n 's/^Environment=//p' unit)
                mkdir -p $HOME
                exec $(sed -n 's/^ExecStart=//p' unit)
            ) >/dev/null 2>&1 &
        }
        start rocketmq-namesrv.service ''
        wait_for 'boot success' $root/var/log/rocketmq/namesrv/namesrv.log
        start rocketmq-broker@.service broker
        wait_for 'boot success' $root/var/log/rocketmq/broker/broker.log
        export NAMESRV_ADDR=127.0.0.1:9876
        sh $root/usr/lib/rocketmq/bin/tools.sh org.apache.rocketmq.example.quickstart.Producer >sent
        grep -c 'sendStatus=SEND_OK' sent
        ls $root/var/lib/rocketmq/store/commitlog
        sh $root/usr/bin/mqshutdown broker
        sh $root/usr/bin/mqshutdown namesrv
        "#,
    );
    ran.has(&["1000", "00000000000000000000"]);
}
