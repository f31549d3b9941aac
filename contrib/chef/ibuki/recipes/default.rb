settings = node['ibuki']

dpkg_package 'ibuki' do
  source settings['package']
  notifies :restart, 'service[ibuki-agent]'
end

config = {
  'node_name' => settings['node'],
  'bind' => settings['bind'],
  'retry_join' => settings['peers'],
}
config['encrypt_key'] = settings['encrypt'] if settings['encrypt']

file '/etc/ibuki/agent.d/50-cluster.json' do
  content JSON.pretty_generate(config) + "\n"
  group 'ibuki'
  mode '0640'
  sensitive true
  notifies :restart, 'service[ibuki-agent]'
end

service 'ibuki-agent' do
  action %i(enable start)
end

return unless settings['catalog']

file '/etc/ibuki/catalog.json' do
  content settings['catalog']
  group 'ibuki'
  mode '0640'
  verify 'ibuki catalog check %{path}'
  notifies :restart, 'service[ibuki-gateway]'
end

file '/etc/ibuki/gateway.env' do
  content %(OPTIONS="-http=#{settings['gateway_http']} -node=#{settings['node']}"\n)
  group 'ibuki'
  mode '0640'
  notifies :restart, 'service[ibuki-gateway]'
end

service 'ibuki-gateway' do
  action %i(enable start)
end
