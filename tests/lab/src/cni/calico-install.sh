#!/bin/sh
# Puts Calico's plugin, its IPAM and their configuration onto the node.
set -e
bin=/host/opt/cni/bin conf=/host/etc/cni/net.d
for name in calico calico-ipam; do
  cp /opt/cni/bin/calico "$bin/.$name"
  mv -f "$bin/.$name" "$bin/$name"
done
token=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)
authority=$(base64 /var/run/secrets/kubernetes.io/serviceaccount/ca.crt | tr -d '\n')
umask 077
cat > "$conf/calico-kubeconfig" <<END
apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT
    certificate-authority-data: $authority
users:
- name: calico
  user:
    token: $token
contexts:
- name: calico-context
  context:
    cluster: local
    user: calico
current-context: calico-context
END
# the kubelet takes the file as soon as it has this name
printf '%s\n' "$CNI_NETWORK_CONFIG" | sed \
  -e "s|__KUBERNETES_NODE_NAME__|$KUBERNETES_NODE_NAME|" -e "s|__CNI_MTU__|$CNI_MTU|" \
  -e "s|__KUBECONFIG_FILEPATH__|/etc/cni/net.d/calico-kubeconfig|" > "$conf/.$CNI_CONF_NAME"
mv -f "$conf/.$CNI_CONF_NAME" "$conf/$CNI_CONF_NAME"
