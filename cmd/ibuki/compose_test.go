package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The services of the compose file and of OpenRC call the agent with flags that there are.
func TestServicesOfOthers(t *testing.T) {
	t.Parallel()
	calls := 0
	for file, pattern := range map[string]string{ // order-free: independent
		"dist/compose.yaml":       `command: \[(agent, .*)\]`,
		"dist/openrc/ibuki-agent": `command_args="(agent .*) \$\{agent_args\}"`,
		"dist/START.txt":          `\./ibuki (agent .*)`,
	} {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s calls no agent", file)
		}
		for _, m := range found {
			calls++
			if why := wrongCall(t, "ibuki", strings.Fields(strings.ReplaceAll(m[1], ",", "")), false); why != "" {
				t.Errorf("%s: %s: %s", file, m[1], why)
			}
		}
	}
	if calls != 5 {
		t.Errorf("%d calls", calls)
	}
}
