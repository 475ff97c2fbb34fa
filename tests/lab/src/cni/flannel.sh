#!/bin/sh
# The plugin named flannel: turns what flanneld wrote into a bridge configuration and hands over to `bridge`.
# Node IPAM gives every node a /24 and a /64, which is what the two substitutions below rely on.
set -e
env=/run/flannel/subnet.env
if [ "$CNI_COMMAND" = VERSION ]; then
  echo '{"cniVersion":"0.3.1","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1"]}'
  exit 0
fi
cat > /dev/null
if [ ! -r "$env" ]; then
  [ "$CNI_COMMAND" = ADD ] || exit 0
  echo "{\"cniVersion\":\"0.3.1\",\"code\":11,\"msg\":\"open $env: no such file: flanneld has not written it yet\"}"
  exit 1
fi
. "$env"
ranges= routes=
if [ -n "$FLANNEL_SUBNET" ]; then
  ranges="[{\"subnet\":\"${FLANNEL_SUBNET%.*}.0/24\"}]"
  routes="{\"dst\":\"$FLANNEL_NETWORK\"},{\"dst\":\"0.0.0.0/0\"}"
fi
if [ -n "$FLANNEL_IPV6_SUBNET" ]; then
  ranges="${ranges:+$ranges,}[{\"subnet\":\"${FLANNEL_IPV6_SUBNET%::*}::/64\"}]"
  routes="${routes:+$routes,}{\"dst\":\"$FLANNEL_IPV6_NETWORK\"},{\"dst\":\"::/0\"}"
fi
printf '{"cniVersion":"0.3.1","name":"cbr0","type":"bridge","mtu":%s,"isGateway":true,"ipMasq":false,"hairpinMode":true,"ipam":{"type":"host-local","ranges":[%s],"routes":[%s]}}' \
  "$FLANNEL_MTU" "$ranges" "$routes" | "${CNI_PATH%%:*}/bridge"
