//go:build unix

package main

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// devGroongaTest breaks a cluster of real Groonga servers, whole nodes and single
// processes, under searches and writes.
func devGroongaTest(t *testing.T, bin string) {
	if _, err := exec.LookPath("groonga"); err != nil {
		t.Skip("there is no groonga on the PATH (Debian: groonga-bin)")
	}
	t.Parallel()
	d := startDev(t, bin, "dev", "-groonga", "-plain")
	d.expect(`300 records are loaded`)
	d.send("wait all alive")
	d.expect(`all: alive everywhere`)
	d.send("complete")
	d.expect(`every server has all records`)

	d.send("kill node1")
	d.send("wait node1 failed")
	d.expect(`failed everywhere`)
	d.expect(`records \d+ - \d+; waiting 0 [1-9]\d* 0`)
	d.send("start node1")
	d.send("complete 40")
	d.expect(`every server has all records`)

	d.send("kill node0.groonga")
	d.expect(`records - \d+ \d+; waiting [1-9]\d* 0 0`)
	d.send("freeze node2")
	d.send("members")
	d.expect(`(?m)running +\d+ +\S+ +down +running(?s:.*)frozen +\d+ +\S+ +frozen +frozen`)
	d.send("start node0.groonga")
	d.send("thaw node2")
	d.send("freeze node1.gateway")
	d.expect(`asked another gateway [1-9]`)
	d.send("thaw node1.gateway")
	d.send("complete 60")
	d.expect(`every server has all records`)

	d.send("counts")
	line := d.expect(`searches \d+, writes \d+, failed \d+,.*`)
	m := regexp.MustCompile(`searches (\d+), writes (\d+), failed (\d+)`).FindStringSubmatch(line)
	if searches, _ := strconv.Atoi(m[1]); searches < 100 || m[3] != "0" {
		t.Errorf("%s", line)
	}
	t.Log(line)
	for line, answer := range map[string]string{ // order-free: independent
		"kill node1.cat":      `there is no node "node1.cat"`,
		"leave node1.groonga": `cannot leave: it is no agent`,
		"complete x":          `usage: complete`,
		"log node1.gateway":   `Gateway answers at`,
	} {
		d.send(line)
		d.expect(answer)
	}
	d.send("quit")
	if code := d.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	nothingLeft(t, d.mark, d.tmp)
}
