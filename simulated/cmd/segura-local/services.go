package main

import (
	"context"
	"flag"
	"runtime"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

const (
	// containersName is the name under which containers find this machine.
	containersName = "host.docker.internal"

	// servicesPort is that of Secrets Manager in tools/sam/local-env.json.
	servicesPort = 4566
)

// services is the subcommand of that name.
func services(ctx context.Context, args []string, t terminal) error {
	flags := flag.NewFlagSet("services", flag.ContinueOnError)
	port := flags.Int("port", servicesPort, "`number` of the port of Secrets Manager; 0 is any free one")
	name := flags.String("name", containersName, nameUsage)
	gateway := flags.String("gateway", "", gatewayUsage)
	anyIdentifier := flags.Bool("any", false, "have an API secret for every identifier, not for those of the samples alone")
	if err := parse(flags, args, 0, t); err != nil {
		return err
	}
	r := newRunner(t, false)
	r.page.print(r.page.bold("What the functions need, for a sam local of yours, until Ctrl-C") + "\n")
	host, err := r.startServices(ctx, *gateway, stage.Options{
		AdvertiseHost: *name, SecretsPort: *port, Segura: seguratest.Options{AnyIdentifier: *anyIdentifier},
	})
	if err != nil {
		return err
	}
	defer func() { _ = r.stack.Close() }()
	build, flagsOfAll := "sam build", ""
	if runtime.GOARCH == "amd64" {
		flagsOfAll = " --parameter-overrides Architecture=x86_64"
		build = "ARCH=amd64 sam build" + flagsOfAll
	}
	if host != "" {
		flagsOfAll = " --add-host " + *name + ":" + host + flagsOfAll
	}
	for i, line := range []string{
		build,
		"sam local invoke EventFunction --event events/direct-one.json" + flagsOfAll,
		"sam local start-api" + flagsOfAll,
	} {
		r.page.line(label(i, "try"), line)
	}
	<-ctx.Done()
	return nil
}
