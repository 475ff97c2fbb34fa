use super::*;

// of the BIRD 1.6.8 sample, with the lines that vary most
const ALL: &str = "BIRD 1.6.8 ready.\nAccess restricted\nname     proto    table    state  since       info\n\
    static1  Static   master   up     03:44:05    \n  Preference:     200\n  Routes:         1 imported, 0 exported, 1 preferred\n\n\
    Mesh_172_18_0_3 BGP      master   up     03:44:08    Established   \n  Description:    Connection to BGP peer\n  \
    Import limit:   200000\n    Action:       disable\n  Routes:         2 imported, 0 filtered, 2 exported, 1 preferred\n  \
    Route change stats:     received   rejected   filtered    ignored   accepted\n    \
    Import updates:              2          0          0          0          2\n  BGP state:          Established\n    \
    Neighbor address: 172.18.0.3\n    Neighbor AS:      64512\n    Source address:   172.18.0.2\n\n\
    Mesh_172_18_0_7 BGP      master   start  03:44:26    Idle          BGP Error: Bad peer AS\n  BGP state:          Idle\n    \
    Last error:       BGP Error: Bad peer AS\n\nMesh_172_18_0_250 BGP      master   down   03:44:05    \n";

#[test]
fn protocols_of_calico() {
    let (bird, errors) = parse(ALL);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(bird.version.as_deref(), Some("1.6.8"));
    let [first, up, idle, down] = bird.protocols.as_slice() else { panic!("{bird:?}") };
    assert!(!first.is_bgp() && up.is_established() && !idle.is_established());
    assert_eq!(up.calico_peer(), Some((PeerKind::Mesh, Some("172.18.0.3".parse().unwrap()))));
    assert_eq!((up.imported(), up.exported(), up.neighbor_as), (Some(2), Some(2), Some(64512)));
    let limit = Limit { direction: "import".to_owned(), routes: 200_000, action: "disable".to_owned(), hit: false };
    assert_eq!(up.channels[0].limits, [limit]);
    assert_eq!((idle.state.as_str(), idle.bgp_state.as_deref()), ("start", Some("Idle")));
    assert_eq!(idle.last_error.as_deref(), Some("BGP Error: Bad peer AS"));
    assert_eq!((down.state.as_str(), down.imported(), down.bgp_state.as_deref()), ("down", None, None));
}

#[test]
fn the_socket_and_the_client_tell_the_same() {
    let socket = "0001 BIRD 1.5.0 ready.\n2002-name     proto    table    state  since       info\n\
        1002-kernel1  Kernel   master   up     2016-11-21\n device1  Device   master   up     2016-11-21\n \
        Mesh_2001_20__8 BGP      master   up     2016-11-21  Established\n0000\n";
    let (bird, errors) = parse(socket);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(bird.protocols.len(), 3);
    assert_eq!(bird.protocols[2].calico_peer(), Some((PeerKind::Mesh, Some("2001:20::8".parse().unwrap()))));
    assert_eq!(bird.protocols[2].since, "2016-11-21");
}

#[test]
fn channels_of_version_two() {
    let text = "BIRD 2.0.7 ready.\nName       Proto      Table      State  Since         Info\n\
        Node_fd00__1 BGP        ---        up     2026-01-02 10:11:12.130  Established   \n  BGP state:          Established\n    \
        Neighbor address: fd00::1\n    Neighbor AS:      65001\n    Local AS:         64512\n  Channel ipv4\n    State:          UP\n    \
        Table:          master4\n    Input filter:   ACCEPT\n    Routes:         3 imported, 4 exported, 3 preferred\n  \
        Channel ipv6\n    State:          DOWN\n    Routes:         1 imported, 2 filtered, 6 exported, 0 preferred\n";
    let (bird, errors) = parse(text);
    assert!(errors.is_empty(), "{errors:?}");
    let session = &bird.protocols[0];
    assert_eq!((session.since.as_str(), session.table.as_str()), ("2026-01-02 10:11:12.130", ""));
    assert_eq!(session.channels.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["ipv4", "ipv6"]);
    assert_eq!((session.imported(), session.exported(), session.local_as), (Some(4), Some(10), Some(64512)));
    assert_eq!(session.channels[0].table, "master4");
}

#[test]
fn routes_of_both_versions() {
    let one = "BIRD 1.6.8 ready.\nAccess restricted\n\
        192.168.1.0/26     blackhole [static1 03:44:05] * (200)\n                   blackhole [kernel1 03:44:05] (10)\n\
        192.168.2.0/26     via 172.18.0.3 on eth0 [Mesh_172_18_0_3 03:44:08 from 172.18.0.9] * (100/0) [i]\n\
        \tType: BGP unicast univ\n\tBGP.as_path: 1 2\n\tBGP.next_hop: 172.18.0.3\n\
        192.168.1.1/32     dev cali1 [kernel1 03:44:05] * (10)\n";
    let (bird, errors) = parse(one);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(bird.routes.len(), 4);
    assert_eq!((bird.routes[1].best, bird.routes[1].destination), (false, bird.routes[0].destination));
    assert_eq!((bird.routes[2].as_path.as_deref(), bird.routes[2].preference), (Some("1 2"), Some(100)));
    assert_eq!(bird.routes[2].from, Some("172.18.0.9".parse().unwrap()));
    assert_eq!(bird.routes[3].devices, ["cali1"]);
    let two = "BIRD 2.0.0 ready.\nTable master4:\n200.0.0.0/24\tunicast [ID8497_AS1339 2017-06-21 08:17:31] * (100) [AS1339i]\n\
        \tvia 1.2.3.15 on eno7 \n\tvia 1.2.3.16 on eno8\n\tType: BGP univ\n                 unicast [ID8503_AS1340 08:17:33.000] (100/?) [AS1340i]\n\tvia 1.2.3.17 on eno8\n";
    let (bird, errors) = parse(two);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(bird.routes.iter().map(|r| r.via.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(bird.routes[0].since, "2017-06-21 08:17:31");
}

#[test]
fn rubbish_is_named() {
    let (bird, errors) = parse(
        "Unable to connect to server control socket (/var/run/bird.ctl): Permission denied\nhello\n10.0.0.0/8 nowhere\n",
    );
    assert_eq!(bird, Bird::default());
    assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 2, 3]);
}
