#include "tests/support/sample_config.hpp"

#include <nlohmann/json.hpp>

namespace drover::test {

namespace {

using json = nlohmann::ordered_json;

constexpr const char* kCreated = "2023-11-14T22:13:20Z";
constexpr const char* kFinished = "2023-11-14T22:13:21.5Z";

// The keys and values that dockerd 20.10 writes for a container run with `--network none`.
constexpr const char* kContainer = R"({
  "StreamConfig": {},
  "State": {"Running": false, "Paused": false, "Restarting": false, "OOMKilled": false, "RemovalInProgress": false,
            "Dead": false, "Pid": 0, "ExitCode": 0, "Error": "", "StartedAt": "", "FinishedAt": "", "Health": null},
  "ID": "", "Created": "", "Managed": false, "Path": "", "Args": [],
  "Config": {"Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
             "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": [],
             "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {}},
  "Image": "",
  "NetworkSettings": {"Bridge": "", "SandboxID": "", "HairpinMode": false, "LinkLocalIPv6Address": "",
    "LinkLocalIPv6PrefixLen": 0,
    "Networks": {"none": {"IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "",
      "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
      "GlobalIPv6PrefixLen": 0, "MacAddress": "", "DriverOpts": null, "IPAMOperational": false}},
    "Service": null, "Ports": null, "SandboxKey": "", "SecondaryIPAddresses": null,
    "SecondaryIPv6Addresses": null, "IsAnonymousEndpoint": false, "HasSwarmEndpoint": false},
  "LogPath": "", "Name": "", "Driver": "overlay2", "OS": "linux", "MountLabel": "", "ProcessLabel": "",
  "RestartCount": 0, "HasBeenStartedBefore": true, "HasBeenManuallyStopped": false, "MountPoints": {},
  "SecretReferences": null, "ConfigReferences": null, "AppArmorProfile": "", "HostnamePath": "", "HostsPath": "",
  "ShmPath": "", "ResolvConfPath": "", "SeccompProfile": "", "NoNewPrivileges": false,
  "LocalLogCacheMeta": {"HaveNotifyEnabled": false}
})";

constexpr const char* kHost = R"({
  "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "none",
  "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false,
  "VolumeDriver": "", "VolumesFrom": null, "CapAdd": null, "CapDrop": null, "CgroupnsMode": "host", "Dns": [],
  "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null, "IpcMode": "private", "Cgroup": "",
  "Links": null, "OomScoreAdj": 0, "PidMode": "", "Privileged": false, "PublishAllPorts": false,
  "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "", "UsernsMode": "", "ShmSize": 67108864,
  "Runtime": "runc", "ConsoleSize": [0, 0], "Isolation": ""
})";

}  // namespace

std::string image_config(const std::vector<Digest>& diff_ids, const std::string& command) {
  json config = {{"architecture", "amd64"},
                 {"config", {{"Env", json::array({"PATH=/bin"})}, {"Cmd", json::array({command})}}},
                 {"created", kCreated},
                 {"history", json::array()},
                 {"os", "linux"},
                 {"rootfs", {{"type", "layers"}, {"diff_ids", json::array()}}}};
  for (const Digest& diff_id : diff_ids) {
    config["history"].push_back({{"created", kCreated}, {"created_by", "sample layer " + short_id(diff_id)}});
    config["rootfs"]["diff_ids"].push_back("sha256:" + diff_id);
  }
  config["history"].push_back(
      {{"created", kCreated}, {"created_by", "CMD [\"" + command + "\"]"}, {"empty_layer", true}});
  return config.dump();
}

std::string container_config(const SampleContainer& container) {
  json config = json::parse(kContainer);
  auto in_directory = [&](const std::string& name) { return container.directory + "/" + name; };
  config["State"]["StartedAt"] = kCreated;
  config["State"]["FinishedAt"] = kFinished;
  config["ID"] = container.id;
  config["Created"] = kCreated;
  config["Path"] = container.command;
  config["Config"]["Hostname"] = short_id(container.id);
  config["Config"]["Env"] = json::array({"PATH=/bin"});
  config["Config"]["Cmd"] = json::array({container.command});
  config["Config"]["Image"] = container.image_reference;
  config["Image"] = "sha256:" + container.image;
  config["LogPath"] = in_directory(container.id + "-json.log");
  config["Name"] = "/" + container.name;
  config["HostnamePath"] = in_directory("hostname");
  config["HostsPath"] = in_directory("hosts");
  config["ResolvConfPath"] = in_directory("resolv.conf");
  return config.dump();
}

std::string host_config() { return json::parse(kHost).dump(); }

std::string json_log(const std::string& output) {
  return json{{"log", output + "\n"}, {"stream", "stdout"}, {"time", kFinished}}.dump() + "\n";
}

}  // namespace drover::test
