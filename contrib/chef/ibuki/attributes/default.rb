# The package, as `make packages` builds it; its place on the node.
default['ibuki']['package'] = '/var/cache/ibuki.deb'
# The host of the node's volumes in the catalog.
default['ibuki']['node'] = node['ipaddress']
default['ibuki']['bind'] = node['ipaddress']
# Other members; one that answers is enough.
default['ibuki']['peers'] = []
# A key from `ibuki keygen`, the same on all nodes; nil: no encryption.
default['ibuki']['encrypt'] = nil
# The text of catalog.json, the same on all nodes; nil: no gateway.
default['ibuki']['catalog'] = nil
default['ibuki']['gateway_http'] = ':10040'
