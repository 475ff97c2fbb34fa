#!/usr/bin/bash
# (busybox's own shell would take its applets `ip` and `nc` before the programs of that name.)
# One guest job: states of IPVS and ipset that a node never shows all at once, each read by every
# tool at the same moment. Writes /host/out/STATE/TOOL; ORIGIN says what they are.
set -u
out=/host/out
mkdir -p "$out"

# keep STATE NAME CMD...: the command's standard output, and its errors and exit code where there are any.
keep() {
	dir=$out/$1 file=$out/$1/$2
	mkdir -p "$dir"
	shift 2
	"$@" >"$file" 2>"$file.err"
	code=$?
	[ -s "$file.err" ] || rm -f "$file.err"
	[ "$code" = 0 ] || echo "$code" >"$file.exit"
	printf '%s\t%s\n' "${file##*/}" "$*" >>"$dir/commands"
}

# read_all STATE: what every tool says of the state there is now.
read_all() {
	keep "$1" ipvsadm-save ipvsadm -S -n
	keep "$1" ipvsadm-list ipvsadm -L -n
	keep "$1" ipvsadm-list-names ipvsadm -L
	keep "$1" ipvsadm-stats ipvsadm -L -n --stats
	keep "$1" ipvsadm-stats-exact ipvsadm -L -n --stats --exact
	keep "$1" ipvsadm-rate ipvsadm -L -n --rate
	keep "$1" ipvsadm-thresholds ipvsadm -L -n --thresholds
	keep "$1" ipvsadm-persistent ipvsadm -L -n --persistent-conn
	keep "$1" ipvsadm-connections ipvsadm -L -n -c
	keep "$1" ipvsadm-timeout ipvsadm -L --timeout
	keep "$1" ipvsadm-daemon ipvsadm -L --daemon
	keep "$1" proc-ip_vs cat /proc/net/ip_vs
	keep "$1" proc-ip_vs_conn cat /proc/net/ip_vs_conn
	keep "$1" proc-ip_vs_stats cat /proc/net/ip_vs_stats
	keep "$1" ipset-save ipset save
	keep "$1" ipset-list ipset list
	keep "$1" ip-address ip address show
	keep "$1" ip-address.json ip -j address show
}

# The kernel has the module, nothing has loaded it.
keep absent ipvsadm-list ipvsadm -L -n
modprobe -r ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_sh ip_vs_dh 2>/dev/null
lsmod | grep -q '^ip_vs' && rmmod ip_vs 2>/dev/null
mv /lib/modules /lib/modules.away
keep absent ipvsadm-list ipvsadm -L -n
keep absent ipvsadm-save ipvsadm -S -n
keep absent proc-ip_vs cat /proc/net/ip_vs
mv /lib/modules.away /lib/modules

modprobe ip_vs
for scheduler in rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh; do
	modprobe "ip_vs_$scheduler"
done
modprobe ip_vs_pe_sip
read_all empty

# Every kind of virtual server and every forwarding method.
ip link add kube-ipvs0 type dummy
for address in 10.96.0.1/32 10.96.0.10/32 fd00:96::1/128; do
	ip address add "$address" dev kube-ipvs0
done
ipvsadm --set 900 120 300

ipvsadm -A -t 10.96.0.1:443 -s rr
ipvsadm -a -t 10.96.0.1:443 -r 172.31.77.1:6443 -m
ipvsadm -A -t 10.96.0.10:53 -s wrr
ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.2:53 -m -w 3
ipvsadm -a -t 10.96.0.10:53 -r 10.244.1.2:53 -m -w 0
ipvsadm -A -u 10.96.0.10:53 -s rr -o
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.2:53 -m
ipvsadm -a -u 10.96.0.10:53 -r 10.244.1.2:53 -m
ipvsadm -A --sctp-service 10.96.0.20:3868 -s lc
ipvsadm -a --sctp-service 10.96.0.20:3868 -r 10.244.0.9:3868 -m -w 65535
ipvsadm -A -t 10.96.0.30:80 -s wlc -p 10800
ipvsadm -a -t 10.96.0.30:80 -r 10.244.0.30:8080 -m -x 200 -y 100
ipvsadm -A -t 10.96.0.31:80 -s wlc -p 360 -M 255.255.255.0
ipvsadm -a -t 10.96.0.31:80 -r 10.244.0.31:80 -g -w 2
ipvsadm -A -t 10.96.0.32:80 -s sh -b sh-fallback,sh-port
ipvsadm -a -t 10.96.0.32:80 -r 10.244.0.32:80 -i
ipvsadm -A -t 10.96.0.33:0 -s sh -b sh-port -p 60
ipvsadm -a -t 10.96.0.33:0 -r 10.244.0.33:0 -g
ipvsadm -A -t 10.96.0.34:80 -s mh -b mh-fallback,mh-port
ipvsadm -a -t 10.96.0.34:80 -r 10.244.0.34:80 -i --tun-type gue --tun-port 6080
ipvsadm -a -t 10.96.0.34:80 -r 10.244.1.34:80 -i --tun-type gue --tun-port 6081 --tun-remcsum
ipvsadm -a -t 10.96.0.34:80 -r 10.244.2.34:80 -i --tun-type gre --tun-csum
ipvsadm -A -t 10.96.0.35:80 -s rr -b flag-1,flag-2,flag-3
ipvsadm -A -u 10.96.0.36:5060 -s rr -p 300 --pe sip
ipvsadm -a -u 10.96.0.36:5060 -r 10.244.0.36:5060 -m
for scheduler in lblc lblcr dh sed nq fo ovf; do
	port=$((${port:-7000} + 1))
	ipvsadm -A -t "10.96.0.40:$port" -s "$scheduler"
	ipvsadm -a -t "10.96.0.40:$port" -r "10.244.0.40:$port" -m
done
# no real server at all, as kube-proxy leaves a Service without endpoints
ipvsadm -A -t 10.96.0.50:80 -s rr
ipvsadm -A -f 1 -s rr
ipvsadm -a -f 1 -r 10.244.0.60:0 -m
ipvsadm -A -f 2147483647 -s wrr -p 600
ipvsadm -a -f 2147483647 -r 10.244.0.61 -g -w 5
ipvsadm -A -f 7 -6 -s rr -p 120 -M 64
ipvsadm -a -f 7 -6 -r '[fd00:244::61]:0' -g
ipvsadm -A -t '[fd00:96::1]:443' -s rr
ipvsadm -a -t '[fd00:96::1]:443' -r '[fd77::1]:6443' -m
ipvsadm -A -u '[fd00:96::a]:53' -s wrr -o
ipvsadm -a -u '[fd00:96::a]:53' -r '[fd00:244::2]:53' -m -w 4
ipvsadm -A --sctp-service '[fd00:96::14]:3868' -s mh
ipvsadm -a --sctp-service '[fd00:96::14]:3868' -r '[fd00:244:0:1::9]:3868' -m
ipvsadm -A -t '[fd00:96::1e]:80' -s lc -p 10800 -M 64
ipvsadm -a -t '[fd00:96::1e]:80' -r '[fd00:244::1e]:80' -g
ipvsadm -A -t '[2001:db8:1111:2222:3333:4444:5555:6666]:65535' -s rr
ipvsadm -a -t '[2001:db8:1111:2222:3333:4444:5555:6666]:65535' -r '[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535' -m
# a tunnel over the other family: the kernel allows it, and only with tunnels
ipvsadm -A -t 10.96.0.70:80 -s rr
ipvsadm -a -t 10.96.0.70:80 -r '[fd00:244::70]:80' -i

# kube-proxy's own sets by name and type, and the types and options that it does not use
ipset create KUBE-CLUSTER-IP hash:ip,port
ipset add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
ipset add KUBE-CLUSTER-IP 10.96.0.10,udp:53
ipset add KUBE-CLUSTER-IP 10.96.0.20,sctp:3868
ipset create KUBE-6-CLUSTER-IP hash:ip,port family inet6
ipset add KUBE-6-CLUSTER-IP fd00:96::1,tcp:443
ipset create KUBE-LOOP-BACK hash:ip,port,ip
ipset add KUBE-LOOP-BACK 10.244.0.2,udp:53,10.244.0.2
ipset create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net
ipset add KUBE-LOAD-BALANCER-SOURCE-CIDR 192.0.2.1,tcp:80,198.51.100.0/24
ipset create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
ipset add KUBE-NODE-PORT-TCP 30080
ipset create KUBE-NODE-PORT-SCTP-HASH hash:ip,port
ipset add KUBE-NODE-PORT-SCTP-HASH 172.31.77.4,sctp:30868
ipset create net hash:net counters comment skbinfo
ipset add net 10.0.0.0/8 comment 'said by "us"' skbmark 0x10/0xff skbprio 1:10 skbqueue 2 2>/dev/null ||
	ipset add net 10.0.0.0/8 comment 'said by us' skbmark 0x10/0xff skbprio 1:10 skbqueue 2
ipset add net 10.1.0.0/16 nomatch
ipset create timed hash:ip timeout 600 maxelem 128 hashsize 64 netmask 24
ipset add timed 192.0.2.0 timeout 2147483
ipset create buckets hash:net,iface bucketsize 6
ipset add buckets 10.0.0.0/24,eth0
ipset create netport hash:net,port forceadd
ipset add netport 203.0.113.0/24,udp:53-55
ipset add netport 203.0.113.0/24,icmp:echo-request
ipset create netnet hash:net,net
ipset add netnet 10.0.0.0/24,10.1.0.0/24
ipset create netportnet hash:net,port,net family inet6
ipset add netportnet 2001:db8::/32,tcp:443,2001:db8:1::/48
ipset create mac hash:mac
ipset add mac 02:00:00:00:00:01
ipset create ipmac hash:ip,mac
ipset add ipmac 192.0.2.7,02:00:00:00:00:02
ipset create marks hash:ip,mark markmask 0xff
ipset add marks 192.0.2.8,0x12
ipset create bip bitmap:ip range 192.0.2.0/24 netmask 28
ipset add bip 192.0.2.16
ipset create bipmac bitmap:ip,mac range 192.0.2.0-192.0.2.9
ipset add bipmac 192.0.2.3,02:00:00:00:00:03
ipset create all list:set size 16
ipset add all net
ipset add all timed before net
iptables -A INPUT -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
read_all variety
keep variety ipset-list-terse ipset list -t
keep variety ipset-list-names ipset list -n
keep variety ipset-save.xml ipset save -o xml
keep variety iptables-save iptables-save
keep variety modules lsmod
keep variety sysctl-vs sh -c 'for f in /proc/sys/net/ipv4/vs/*; do [ -r "$f" ] && echo "net.ipv4.vs.${f##*/} = $(cat "$f" 2>/dev/null)"; done'

# Both readings restore to the same state.
ipvsadm -S -n >/tmp/before
ipvsadm -C
ipvsadm -R </tmp/before
keep restored ipvsadm-save ipvsadm -S -n
ipvsadm -C

# A mark over 2^31: ipvsadm prints it as a negative number, which it does not read back.
ipvsadm -A -f 4294967295 -s wrr -p 600
ipvsadm -a -f 4294967295 -r 10.244.0.61 -g -w 5
read_all mark
ipvsadm -C

iptables -F INPUT
ipset flush

# Traffic: clients in this namespace, real servers in another, connections open, closed and half open.
ip netns add servers
ip link add eth1 type veth peer name eth0 netns servers
ip address add 10.244.1.1/24 dev eth1
ip address add fd00:244:1::1/64 dev eth1 nodad
ip link set eth1 up
ip -n servers link set lo up
for host in 10 11 12; do
	ip -n servers address add "10.244.1.$host/24" dev eth0
	ip -n servers address add "fd00:244:1::$host/64" dev eth0 nodad
done
ip -n servers link set eth0 up
ip -n servers route add default via 10.244.1.1
ip -n servers -6 route add default via fd00:244:1::1
for address in 10.96.0.80/32 10.96.0.81/32 10.96.0.82/32 fd00:96::80/128; do
	ip address add "$address" dev kube-ipvs0
done
ip link set kube-ipvs0 up
echo 1 >/proc/sys/net/ipv4/vs/conntrack
mkdir -p /tmp/www
head -c 200000 /dev/urandom >/tmp/www/file
ip netns exec servers httpd -p 8080 -h /tmp/www
ip netns exec servers nc -ll -p 9000 -e cat &
ipvsadm -A -t 10.96.0.80:80 -s rr
ipvsadm -a -t 10.96.0.80:80 -r 10.244.1.10:8080 -m
ipvsadm -a -t 10.96.0.80:80 -r 10.244.1.11:8080 -m
ipvsadm -A -t 10.96.0.81:80 -s wlc -p 10800
ipvsadm -a -t 10.96.0.81:80 -r 10.244.1.12:8080 -m -w 7
ipvsadm -A -t 10.96.0.82:9000 -s rr
ipvsadm -a -t 10.96.0.82:9000 -r 10.244.1.10:9000 -m
ipvsadm -A -u 10.96.0.82:5353 -s rr
ipvsadm -a -u 10.96.0.82:5353 -r 10.244.1.10:5353 -m
ipvsadm -A -t '[fd00:96::80]:80' -s rr
ipvsadm -a -t '[fd00:96::80]:80' -r '[fd00:244:1::10]:8080' -m
ipvsadm -A -t 10.96.0.82:81 -s rr
ipvsadm -a -t 10.96.0.82:81 -r 10.244.1.99:81 -m
for n in 1 2 3 4 5 6 7; do
	curl -s -o /dev/null http://10.96.0.80/file
done
for n in 1 2; do
	curl -s -o /dev/null http://10.96.0.81/file
done
curl -s -o /dev/null -g 'http://[fd00:96::80]/file'
for n in 1 2 3; do
	sleep 3600 | nc 10.96.0.82 9000 &
done
# nobody answers: the kernel holds the entry all the same
bash -c 'echo question >/dev/udp/10.96.0.82/5353'
# nobody has this address: the connection stays in SYN_RECV
nc -w 1 10.96.0.82 81 </dev/null 2>/dev/null
for n in $(seq 60); do
	[ "$(ipvsadm -L -n -c | grep -c ESTABLISHED)" -ge 3 ] && break
	sleep 1
done
read_all traffic

{
	echo "kernel: $(uname -srv)"
	echo "ipvsadm: $(ipvsadm --version | head -n 1)"
	echo "ipset: $(ipset version | tr '\n' ' ')"
	echo "iproute2: $(ip -V)"
} >"$out/versions"
