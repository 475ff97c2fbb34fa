#!/bin/sh
# Calico's node container: the node's objects first, then Felix, confd and one BIRD per family.
set -e
calico-node -startup
NODENAME=$(cat /var/lib/calico/nodename)
export NODENAME FELIX_FELIXHOSTNAME="$NODENAME" FELIX_DATASTORETYPE="$DATASTORE_TYPE"
calico-node -allocate-tunnel-addrs -allocate-tunnel-addrs-run-once
mkdir -p /etc/calico/confd/config
# BIRD cannot start without its configuration, and confd cannot stay without BIRD's
calico-node -confd -confd-run-once
calico-node -felix & felix=$!
bird -s /var/run/calico/bird.ctl -d -c /etc/calico/confd/config/bird.cfg & bird=$!
bird6 -s /var/run/calico/bird6.ctl -d -c /etc/calico/confd/config/bird6.cfg & bird6=$!
calico-node -confd & confd=$!
trap 'kill $felix $bird $bird6 $confd; exit 0' TERM INT
while kill -0 $felix && kill -0 $bird && kill -0 $bird6 && kill -0 $confd; do sleep 1 & wait $!; done
echo "a daemon of calico-node has ended"
exit 1
