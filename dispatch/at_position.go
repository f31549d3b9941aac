package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog"
)

// positionWait is how long a question may wait for its place in the log.
const positionWait = 20 * time.Second

// atPosition has servers answer a command at one place of the log.
func (l *logged) atPosition(ctx context.Context, volumes []*volume, cmd *groonga.Command) (list []groonga.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	text := encodeCommand(cmd)
	var shares []writelog.Share
	for _, v := range volumes {
		shares = append(shares, writelog.Share{Servers: []string{v.addr}, Command: text})
	}
	said, err := l.member.Write(ctx, shares, l.d.now().at, "")
	if err != nil {
		return nil, fmt.Errorf("a question at one place of the log: %w", err)
	}
	for i, a := range said {
		list = append(list, groonga.Answer{Status: a.Status, ContentType: a.Type, Body: a.Body, Code: a.Code, Volume: volumes[i].addr})
	}
	return list, nil
}
